"""The exercises of lesson 01, convolutions.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

import numpy as np

from coursekit.course.exercises.checking import Case, Exercise, call, check_cases

__all__ = ["EXERCISES"]


def _check_input_size(answer: object) -> str | None:
    cases = [
        Case(
            (3, 3, 1, 0, 1), 5, "Three places for a window of 3: where does the last end?"
        ),
        Case((5, 3, 1, 1, 1), 5, "Padding is added on both sides of the picture."),
        Case(
            (3, 3, 2, 0, 1), 7, "A stride of 2 moves the window by two from place to place."
        ),
        Case((1, 3, 4, 0, 1), 3, "One place alone takes no step, whatever the stride is."),
        Case((5, 3, 1, 0, 2), 9, "Dilation spreads the kernel: how wide is it then?"),
        Case((16, 5, 2, 2, 1), 31, "Several settings at once: are the brackets right?"),
        Case((112, 7, 2, 3, 1), 223, "The first layer of a ResNet, backwards."),
        Case((4, 3, 3, 2, 2), 10, "Everything at once."),
    ]
    mistakes = {
        "There is one step less than there are places.": (
            lambda n, k, s, p, d: n * s + d * (k - 1) + 1 - 2 * p
        ),
        "Padding is added on both sides, so the picture is smaller by twice as much.": (
            lambda n, k, s, p, d: (n - 1) * s + d * (k - 1) + 1 - p
        ),
        "Padding makes the padded picture larger, so the picture itself is smaller.": (
            lambda n, k, s, p, d: (n - 1) * s + d * (k - 1) + 1 + 2 * p
        ),
        "Dilation is not used yet: how wide is the kernel when it is spread out?": (
            lambda n, k, s, p, d: (n - 1) * s + k - 2 * p  # noqa: ARG005
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_edge_kernel(answer: object) -> str | None:
    kernel, hint = _as_kernel(answer, what="edge_kernel")
    if hint:
        return hint
    rows, columns = np.mgrid[0:9, 0:9]
    flat = np.full((9, 9), 0.7)
    horizontal = np.where(rows < 4, 0.0, 1.0)
    vertical = np.where(columns < 4, 0.0, 1.0)
    if _peak(flat, kernel) > 1e-6:
        return (
            "On a picture of one color it still answers: what must its nine weights sum to?"
        )
    if _peak(horizontal, kernel) > 1e-6:
        if _peak(vertical, kernel) < 1e-6:
            return "It answers to horizontal edges only. Turn it by a quarter."
        return "It answers to horizontal edges too: what must each row sum to on its own?"
    if _peak(vertical, kernel) < 0.5:
        return (
            "A black half beside a white half gets an answer below 0.5: make it stronger."
        )
    return None


def _check_n_parameters(answer: object) -> str | None:
    cases = [
        Case((1, 1, 3, False), 9, "One window of weights."),
        Case((1, 1, 3, True), 10, "A bias is one number more."),
        Case((3, 6, 3, True), 168, "Each filter has one window for each input channel."),
        Case((3, 6, 3, False), 162, "Without a bias there is nothing to add."),
        Case(
            (16, 32, (1, 5), True),
            2592,
            "A kernel may be (height, width): multiply the two.",
        ),
        Case((64, 64, 1, True), 4160, "A 1x1 kernel is a linear layer at each pixel."),
    ]
    mistakes = {
        "There is one bias for each filter, not for each pair of channels.": (
            lambda i, o, k, b: i * o * (_area(k) + bool(b))
        ),
        "One bias for the whole layer is too few: each filter has its own.": (
            lambda i, o, k, b: i * o * _area(k) + bool(b)
        ),
        "Each filter looks at every input channel: where does in_channels come in?": (
            lambda i, o, k, b: o * (_area(k) + bool(b))  # noqa: ARG005
        ),
        "The bias is counted even where bias is False.": (
            lambda i, o, k, b: o * (i * _area(k) + 1)  # noqa: ARG005
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_same_padding(answer: object) -> str | None:
    even = "With an even kernel the two sides would differ: raise ValueError there."
    cases = [
        Case((3, 1), 1, "How far does the kernel reach beyond its center?"),
        Case((1, 1), 0, "A 1x1 kernel never leaves the picture."),
        Case((5, 1), 2, "A kernel of 5 reaches two pixels beyond its center."),
        Case((3, 2), 2, "Dilation spreads the kernel, so it reaches further."),
        Case((7, 3), 9, "Dilation multiplies the reach."),
        Case((2, 1), ValueError, even),
        Case((4, 2), ValueError, even),
    ]
    mistakes = {
        "Dilation is not used yet: how far does a spread kernel reach?": (
            lambda k, d: (k - 1) // 2  # noqa: ARG005
        ),
        "That is the padding of both sides together; padding= means one side.": (
            lambda k, d: d * (k - 1)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_receptive_field(answer: object) -> str | None:
    cases = [
        Case(([(3, 1)],), 3, "One layer sees its kernel."),
        Case(([(3, 1), (3, 1)],), 5, "Each layer without stride adds kernel - 1 pixels."),
        Case(([],), 1, "Before the first layer, a pixel sees itself."),
        Case(
            ([(3, 2), (3, 1)],),
            7,
            "After a stride of 2, a step is two pixels of the input.",
        ),
        Case(
            ([(3, 1), (3, 2)],), 5, "A stride counts for the layers after it, not its own."
        ),
        Case(([(7, 2), (3, 2), (3, 1)],), 19, "Strides of several layers multiply."),
    ]
    mistakes = {
        "Strides are not used yet: after a stride of 2, how many input pixels is one step?": (
            lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers)
        ),
        "A layer's own stride moves its window, it does not widen it: use it afterwards.": (
            _field_with_own_stride
        ),
        "Neighboring windows overlap: how many new pixels does a layer add to the field?": (
            lambda layers: sum(kernel for kernel, _ in layers)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_sharpen_kernel(answer: object) -> str | None:
    kernels = []
    for amount in (0.0, 1.0, 2.5):
        kernel, hint = _as_kernel(call(answer, amount), what=f"sharpen_kernel({amount})")
        if hint:
            return hint
        kernels.append(kernel)
    nothing, once, more = kernels
    identity = np.zeros((3, 3))
    identity[1, 1] = 1
    blur = np.full((3, 3), 1 / 9)
    if np.allclose(once, blur) or np.allclose(once - identity, blur - identity):
        return "sharpen_kernel(1) is the blur itself. Sharpening adds what the blur takes away."
    if np.allclose(once, 2 * identity + blur) or np.allclose(once, blur * 2 - identity):
        return "It blurs further: what is lost by a blur is identity - blur, in this order."
    if np.allclose(once, identity - blur):
        return (
            "Those are the details alone. Add them to the picture, that is to the identity."
        )
    if not np.allclose(nothing, identity):
        return "sharpen_kernel(0) should change nothing: which kernel returns the picture?"
    if not np.isclose(once.sum(), 1):
        return "A picture of one color should stay as it is: what must the weights sum to?"
    if not np.allclose(more - nothing, 2.5 * (once - nothing)):
        return "Twice the amount should add twice the details."
    if not np.allclose(once, 2 * identity - blur):
        return "The details are what the box blur, nine equal weights, takes away."
    return None


def _field_with_own_stride(layers: list[tuple[int, int]]) -> int:
    field, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        field += (kernel - 1) * step
    return field


def _area(kernel: int | tuple[int, int]) -> int:
    return kernel[0] * kernel[1] if isinstance(kernel, tuple) else kernel**2


def _as_kernel(answer: object, *, what: str) -> tuple[np.ndarray, str | None]:
    try:
        kernel = np.asarray(answer, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        return np.empty(
            0
        ), f"{what} is no array of numbers. Three rows of three numbers are."
    if kernel.shape != (3, 3):
        shape = " x ".join(map(str, kernel.shape)) or "a single number"
        return kernel, f"{what} should be 3 x 3, and it is {shape}."
    if not np.isfinite(kernel).all():
        return kernel, f"{what} holds a number that is not finite."
    return kernel, None


def _peak(picture: np.ndarray, kernel: np.ndarray) -> float:
    windows = np.lib.stride_tricks.sliding_window_view(picture, kernel.shape)
    return float(np.abs((windows * kernel).sum((-1, -2))).max())


_EXERCISES = (
    Exercise(
        name="01.1 input size",
        starter="def input_size(output, kernel, stride=1, padding=0, dilation=1):\n    ...",
        check=_check_input_size,
        sample=(3, 3, 1, 0, 1),
    ),
    Exercise(
        name="01.2 edge kernel",
        starter="edge_kernel = ...",
        check=_check_edge_kernel,
    ),
    Exercise(
        name="01.3 count parameters",
        starter="def n_parameters(in_channels, out_channels, kernel, bias=True):\n    ...",
        check=_check_n_parameters,
        sample=(1, 1, 3, False),
    ),
    Exercise(
        name="01.4 same padding",
        starter="def same_padding(kernel, dilation=1):\n    ...",
        check=_check_same_padding,
        sample=(3, 1),
    ),
    Exercise(
        name="01.5 receptive field",
        starter="def receptive_field_size(layers):\n    ...",
        check=_check_receptive_field,
        sample=([(3, 1)],),
    ),
    Exercise(
        name="01.6 blur then sharpen",
        starter="def sharpen_kernel(amount):\n    ...",
        check=_check_sharpen_kernel,
        sample=(1.0,),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
