"""The exercises of lesson 01, convolutions."""

import math
from collections.abc import Callable

import numpy as np

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_input_size = Exercise(
    "01.1 input size", "input_size(output, kernel, stride=1, padding=0, dilation=1)", [
    ((3, 3, 1, 0, 1), 5, "Three places for a window of 3: where does the last end?"),
    ((5, 3, 1, 1, 1), 5, "Padding is added on both sides of the picture: subtract it twice."),
    ((3, 3, 2, 0, 1), 7, "A stride of 2 moves the window by two from place to place."),
    ((5, 3, 1, 0, 2), 9, "Dilation spreads the kernel: how wide is it then?"),
    ((4, 3, 3, 2, 2), 10, "Everything at once."),
], {
    "There is one step less than there are places.":
        lambda n, k, s, p, d: n * s + d * (k - 1) + 1 - 2 * p,
    "Dilation is not used yet: how wide is the kernel when it is spread out?":
        lambda n, k, s, p, d: (n - 1) * s + k - 2 * p,
})


def _check_edge_kernel(answer: object) -> None:
    kernel = _as_kernel(answer, "edge_kernel")
    stop_if(not abs(kernel.sum()) < 1e-6,
            "On a picture of one color it still answers: what must its nine weights sum to?")
    # What windows answer that reach one, two or three lines over the edge.
    horizontal, vertical = (abs(kernel.sum(axis).cumsum()).max() for axis in (1, 0))
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
        kernel = np.empty(0)
    stop_if(kernel.shape != (3, 3), f"{what} should be 3 x 3, three rows of three numbers.")
    return kernel


def _area(kernel: int | tuple[int, int]) -> int:
    return kernel[0] * kernel[1] if isinstance(kernel, tuple) else kernel**2


_n_parameters = Exercise(
    "01.3 count parameters", "n_parameters(in_channels, out_channels, kernel, bias=True)", [
    ((1, 1, 3, True), 10, "One window of weights, and a bias is one number more."),
    ((3, 6, 3, True), 168, "Each filter has one window for each input channel."),
    ((3, 6, 3, False), 162, "Without a bias there is nothing to add."),
    ((16, 32, (1, 5), True), 2592, "A kernel may be (height, width): multiply the two."),
], {
    "There is one bias for each filter, not for each pair of channels.":
        lambda i, o, k, b: i * o * (_area(k) + bool(b)),
    "One bias for the whole layer is too few: each filter has its own.":
        lambda i, o, k, b: i * o * _area(k) + bool(b),
    "Each filter looks at every input channel: where does in_channels come in?":
        lambda i, o, k, b: o * (_area(k) + bool(b)),
})

_same_padding = Exercise("01.4 same padding", "same_padding(kernel, dilation=1)", [
    ((3, 1), 1, "How far does the kernel reach beyond its center?"),
    ((5, 1), 2, "A kernel of 5 reaches two pixels beyond its center."),
    ((3, 2), 2, "Dilation spreads the kernel, so it reaches further."),
    ((4, 2), ValueError, "With an even kernel the two sides would differ: refuse it."),
], {
    "Dilation is not used yet: how far does a spread kernel reach?":
        lambda k, d: (k - 1) // 2,
    "That is the padding of both sides together; padding= means one side.":
        lambda k, d: d * (k - 1),
})

_receptive_field = Exercise("01.5 receptive field", "receptive_field_size(layers)", [
    (([(3, 1)],), 3, "One layer sees its kernel."),
    (([(3, 1), (3, 1)],), 5, "Each layer without stride adds kernel - 1 pixels."),
    (([(3, 2), (3, 1)],), 7, "After a stride of 2, a step is two pixels of the input."),
    (([(7, 2), (3, 2), (3, 1)],), 19, "Strides of several layers multiply."),
], {
    "Strides are not used yet: after a stride of 2, how many input pixels is one step?":
        lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers),
    "A layer's own stride moves its window, it does not widen it: use it afterwards.":
        lambda layers: 1 + sum((kernel - 1) * math.prod(stride for _, stride in layers[:n])
                               for n, (kernel, _) in enumerate(layers, start=1)),
    "Neighboring windows overlap: how many new pixels does a layer add to the field?":
        lambda layers: sum(kernel for kernel, _ in layers),
})


def _check_sharpen_kernel(answer: Callable) -> None:
    nothing, once, more = (
        _as_kernel(call(answer, amount), "What it returns") for amount in (0.0, 1.0, 2.5)
    )
    identity, blur, near = np.pad([[1.0]], 1), np.full((3, 3), 1 / 9), np.allclose
    stop_if(near(once, blur),
            "sharpen_kernel(1) is the blur itself. Sharpening adds what the blur takes away.")
    stop_if(near(once, identity - blur),
            "Those are the details alone. Add them to the picture, that is to the identity.")
    stop_if(not near(nothing, identity),
            "sharpen_kernel(0) should change nothing: which kernel returns the picture?")
    stop_if(not near(once.sum(), 1),
            "A picture of one color should stay as it is: what must the weights sum to?")
    right = [identity + amount * (identity - blur) for amount in (1.0, 2.5)]
    stop_if(not near([once, more], right),
            "What is added is `amount` times the details, identity - blur, in this order; the "
            "blur is nine equal weights.")


_sharpen_kernel = Exercise("01.6 blur then sharpen", "sharpen_kernel(amount)",
    check=_check_sharpen_kernel)
