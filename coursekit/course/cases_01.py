"""The exercises of lesson 01, convolutions."""

from collections.abc import Callable

import numpy as np

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_EVEN = "With an even kernel the two sides would differ: raise ValueError there."

_input_size = Exercise(
    "01.1 input size", "input_size(output, kernel, stride=1, padding=0, dilation=1)", [
    ((3, 3, 1, 0, 1), 5, "Three places for a window of 3: where does the last end?"),
    ((5, 3, 1, 1, 1), 5, "Padding is added on both sides of the picture."),
    ((3, 3, 2, 0, 1), 7, "A stride of 2 moves the window by two from place to place."),
    ((1, 3, 4, 0, 1), 3, "One place alone takes no step, whatever the stride is."),
    ((5, 3, 1, 0, 2), 9, "Dilation spreads the kernel: how wide is it then?"),
    ((16, 5, 2, 2, 1), 31, "Several settings at once: are the brackets right?"),
    ((112, 7, 2, 3, 1), 223, "The first layer of a ResNet, backwards."),
    ((4, 3, 3, 2, 2), 10, "Everything at once."),
], {
    "There is one step less than there are places.":
        lambda n, k, s, p, d: n * s + d * (k - 1) + 1 - 2 * p,
    "Padding is added on both sides, so the picture is smaller by twice as much.":
        lambda n, k, s, p, d: (n - 1) * s + d * (k - 1) + 1 - p,
    "Padding makes the padded picture larger, so the picture itself is smaller.":
        lambda n, k, s, p, d: (n - 1) * s + d * (k - 1) + 1 + 2 * p,
    "Dilation is not used yet: how wide is the kernel when it is spread out?":
        lambda n, k, s, p, d: (n - 1) * s + k - 2 * p,
})


def _check_edge_kernel(answer: object) -> None:
    kernel = _as_kernel(answer, "edge_kernel")
    rows, columns = np.mgrid[0:9, 0:9]
    pictures = np.stack([np.full((9, 9), 0.7), 1.0 * (rows >= 4), 1.0 * (columns >= 4)])
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (3, 3), axis=(1, 2))
    flat, horizontal, vertical = abs((windows * kernel).sum((-1, -2))).max((1, 2))
    stop_if(flat > 1e-6,
            "On a picture of one color it still answers: what must its nine weights sum to?")
    stop_if(horizontal > 1e-6 > vertical,
            "It answers to horizontal edges only. Turn it by a quarter.")
    stop_if(horizontal > 1e-6,
            "It answers to horizontal edges too: what must each row sum to on its own?")
    stop_if(vertical < 0.5,
            "A black half beside a white half gets an answer below 0.5: make it stronger.")


_edge_kernel = Exercise("01.2 edge kernel", "edge_kernel", check=_check_edge_kernel)


def _as_kernel(answer: object, what: str) -> np.ndarray:
    try:
        kernel = np.asarray(answer, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        kernel = None
    stop_if(kernel is None,
            f"{what} is no array of numbers. Three rows of three numbers are.")
    shape = " x ".join(map(str, kernel.shape)) or "a single number"
    stop_if(kernel.shape != (3, 3), f"{what} should be 3 x 3, and it is {shape}.")
    stop_if(not np.isfinite(kernel).all(), f"{what} holds a number that is not finite.")
    return kernel


def _area(kernel: int | tuple[int, int]) -> int:
    return kernel[0] * kernel[1] if isinstance(kernel, tuple) else kernel**2


_n_parameters = Exercise(
    "01.3 count parameters", "n_parameters(in_channels, out_channels, kernel, bias=True)", [
    ((1, 1, 3, False), 9, "One window of weights."),
    ((1, 1, 3, True), 10, "A bias is one number more."),
    ((3, 6, 3, True), 168, "Each filter has one window for each input channel."),
    ((3, 6, 3, False), 162, "Without a bias there is nothing to add."),
    ((16, 32, (1, 5), True), 2592, "A kernel may be (height, width): multiply the two."),
    ((64, 64, 1, True), 4160, "A 1x1 kernel is a linear layer at each pixel."),
], {
    "There is one bias for each filter, not for each pair of channels.":
        lambda i, o, k, b: i * o * (_area(k) + bool(b)),
    "One bias for the whole layer is too few: each filter has its own.":
        lambda i, o, k, b: i * o * _area(k) + bool(b),
    "Each filter looks at every input channel: where does in_channels come in?":
        lambda i, o, k, b: o * (_area(k) + bool(b)),
    "The bias is counted even where bias is False.":
        lambda i, o, k, b: o * (i * _area(k) + 1),
})

_same_padding = Exercise("01.4 same padding", "same_padding(kernel, dilation=1)", [
    ((3, 1), 1, "How far does the kernel reach beyond its center?"),
    ((1, 1), 0, "A 1x1 kernel never leaves the picture."),
    ((5, 1), 2, "A kernel of 5 reaches two pixels beyond its center."),
    ((3, 2), 2, "Dilation spreads the kernel, so it reaches further."),
    ((7, 3), 9, "Dilation multiplies the reach."),
    ((2, 1), ValueError, _EVEN),
    ((4, 2), ValueError, _EVEN),
], {
    "Dilation is not used yet: how far does a spread kernel reach?":
        lambda k, d: (k - 1) // 2,
    "That is the padding of both sides together; padding= means one side.":
        lambda k, d: d * (k - 1),
})


def _field_with_own_stride(layers: list[tuple[int, int]]) -> int:
    field, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        field += (kernel - 1) * step
    return field


_receptive_field = Exercise("01.5 receptive field", "receptive_field_size(layers)", [
    (([(3, 1)],), 3, "One layer sees its kernel."),
    (([(3, 1), (3, 1)],), 5, "Each layer without stride adds kernel - 1 pixels."),
    (([],), 1, "Before the first layer, a pixel sees itself."),
    (([(3, 2), (3, 1)],), 7, "After a stride of 2, a step is two pixels of the input."),
    (([(3, 1), (3, 2)],), 5, "A stride counts for the layers after it, not its own."),
    (([(7, 2), (3, 2), (3, 1)],), 19, "Strides of several layers multiply."),
], {
    "Strides are not used yet: after a stride of 2, how many input pixels is one step?":
        lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers),
    "A layer's own stride moves its window, it does not widen it: use it afterwards.":
        _field_with_own_stride,
    "Neighboring windows overlap: how many new pixels does a layer add to the field?":
        lambda layers: sum(kernel for kernel, _ in layers),
})


def _check_sharpen_kernel(answer: Callable) -> None:
    amounts = (0.0, 1.0, 2.5)
    nothing, once, more = (
        _as_kernel(call(answer, amount), f"sharpen_kernel({amount})") for amount in amounts
    )
    identity, blur, near = np.pad([[1.0]], 1), np.full((3, 3), 1 / 9), np.allclose
    stop_if(near(once, blur),
            "sharpen_kernel(1) is the blur itself. Sharpening adds what the blur takes away.")
    stop_if(near(once, 2 * identity + blur) or near(once, blur * 2 - identity),
            "It blurs further: what is lost by a blur is identity - blur, in this order.")
    stop_if(near(once, identity - blur),
            "Those are the details alone. Add them to the picture, that is to the identity.")
    stop_if(not near(nothing, identity),
            "sharpen_kernel(0) should change nothing: which kernel returns the picture?")
    stop_if(not np.isclose(once.sum(), 1),
            "A picture of one color should stay as it is: what must the weights sum to?")
    stop_if(not near(more - nothing, 2.5 * (once - nothing)),
            "Twice the amount should add twice the details.")
    stop_if(not near(once, 2 * identity - blur),
            "The details are what the box blur, nine equal weights, takes away.")


_sharpen_kernel = Exercise(
    "01.6 blur then sharpen", "sharpen_kernel(amount)",
    check=_check_sharpen_kernel, sample=(1.0,))
