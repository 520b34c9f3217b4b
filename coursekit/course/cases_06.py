"""The exercises of lesson 06, timm."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from coursekit.course.checking import Exercise

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005


def _kernels(*filters: list[float]) -> list:
    """Return kernels of 1 x 1, as nested lists."""
    return [[[[number]] for number in numbers] for numbers in filters]


def _adapted(
    weight: Tensor,
    n: int,
    *,
    one: Callable = lambda weight: weight.sum(1, keepdim=True),
    scale: Callable = lambda n: 3 / n,
    repeat: Callable = lambda weight, n: weight.repeat(1, n, 1, 1),
) -> Tensor:
    """Return the right weights, or those of a known mistake."""
    return one(weight) if n == 1 else repeat(weight, -(-n // 3))[:, :n] * scale(n)


_W1 = torch.tensor(_kernels([1.0, 2.0, 4.0]))
_W2 = torch.tensor(_kernels([1.0, 2.0, 4.0], [0.0, -1.0, 3.0]))

_adapt_channels = Exercise("06.1 other channels", "adapt_channels(weight, n_channels)", [
    ((_W1, 3), _kernels([1.0, 2.0, 4.0]), "Three channels are what it has."),
    ((_W1, 1), _kernels([7.0]), "One channel gets the sum of the three kernels."),
    ((_W1, 2), _kernels([1.5, 3.0]), "Two channels: the first two, times 3 / 2."),
    ((_W1, 6), _kernels([0.5, 1.0, 2.0] * 2), "Six: each kernel twice, halved."),
    ((_W1, 8), _kernels([0.375, 0.75, 1.5] * 2 + [0.375, 0.75]),
     "The third repetition is cut off after the eighth channel."),
    ((_W2, 1), _kernels([7.0], [2.0]), "Each filter has a sum of its own."),
    ((_W2, 4), _kernels([0.75, 1.5, 3.0, 0.75], [0.0, -0.75, 2.25, 0.0]),
     "The number of filters stays."),
], {
    "One channel gets the sum, not the mean: a gray image has the same number in all three "
    "channels.": lambda w, n: _adapted(w, n, one=lambda x: x.mean(1, keepdim=True)),
    "With one channel the sum is right as it is: it is not scaled.":
        lambda w, n: _adapted(w, n, one=lambda x: 3 * x.sum(1, keepdim=True)),
    "The kernels are repeated, but not scaled: multiply by 3 / n_channels, so that the sum "
    "over all channels keeps its size.": lambda w, n: _adapted(w, n, scale=lambda _: 1.0),
    "The scale is 3 / n_channels, not n_channels / 3: more channels, smaller weights.":
        lambda w, n: _adapted(w, n, scale=lambda n: n / 3),
    "Repeat red, green, blue in this order, not red several times, then green.":
        lambda w, n: _adapted(w, n, repeat=lambda x, k: x.repeat_interleave(k, dim=1)),
}, places=6)

_USUAL = [2, 4, 8, 16]

_deepest_level = Exercise(
    "06.2 the right level", "deepest_level(reductions, side, places)", [
    ((_USUAL, 32, 16), 0, "32 / 2 = 16 places, and no other level has as many."),
    ((_USUAL, 32, 4), 2, "32 / 8 = 4 places are enough; 32 / 16 = 2 are not."),
    ((_USUAL, 32, 3), 2, "4 places are at least 3."),
    ((_USUAL, 32, 1), 3, "Even the last level has a place."),
    ((_USUAL, 64, 4), 3, "A larger image has larger maps."),
    (([4, 4, 8], 32, 8), 1, "Where two levels are of one size, take the deeper."),
    (([16, 16, 16], 224, 14), 2, "In a Vision Transformer all are of one size."),
    ((_USUAL, 32, 17), ValueError, "No level has so many places."),
], {
    "That is the first level that has enough places. Asked is the deepest.":
        lambda r, s, p: next((i for i, n in enumerate(r) if s // n >= p), None),
    "That is the reduction. Asked is the level's index.":
        lambda r, s, p: max(n for n in r if s // n >= p),
    "That is how many levels have enough places. The index of the last of them is one less, "
    "for counting begins at 0.": lambda r, s, p: sum(s // n >= p for n in r),
    '"At least" includes equal: use >=, not >.':
        lambda r, s, p: max((i for i, n in enumerate(r) if s // n > p), default=0),
    "`places` is meant on each side, not in the whole map.":
        lambda r, s, p: max((i for i, n in enumerate(r) if (s // n) ** 2 >= p)),
})

_PLAIN, _ODD = ((0.0,) * 3, (1.0,) * 3), ((0.5, 0.25, 0.0), (0.5, 0.25, 0.2))


def _bytes(*images: list) -> Tensor:
    return torch.tensor(images, dtype=torch.uint8)


def _prepared(
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    top: float = 255.0,
    normal: Callable = lambda v, m, s: (v - m) / s,
    places: Callable = lambda values: values.permute(0, 3, 1, 2),
) -> Tensor:
    """Return the right images, or those of a known mistake."""
    mean, std = (torch.tensor(row, dtype=torch.float64) for row in (mean, std))
    return places(normal(images.double() / top, mean, std))


def _reshaped(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    n_images, height, width, _ = images.shape
    moved = images.reshape(n_images, 3, height, width).permute(0, 2, 3, 1)
    return _prepared(moved, mean, std)


_prepare_images = Exercise("06.3 preparation", "prepare_images(images, mean, std)", [
    ((_bytes([[[0, 51, 255]]]), *_PLAIN), [[[[0.0]], [[0.2]], [[1.0]]]],
     "Brightness runs from 0 to 1, not to 255, before anything else is done."),
    ((_bytes([[[255, 0, 51]]]), *_ODD), [[[[1.0]], [[-1.0]], [[1.0]]]],
     "Each channel has its own mean and standard deviation."),
    ((_bytes([[[0, 51, 255], [255, 0, 0]]]), *_PLAIN),
     [[[[0.0, 1.0]], [[0.2, 0.0]], [[1.0, 0.0]]]],
     "Channels come before rows and columns: permute the axes, do not reshape."),
    ((_bytes([[[0, 0, 0]]], [[[255, 255, 255]]]), *_ODD),
     [[[[-1.0]], [[-1.0]], [[0.0]]], [[[1.0]], [[3.0]], [[5.0]]]],
     "There may be several images."),
], {
    "The bytes are not divided by 255.": lambda x, m, s: _prepared(x, m, s, top=1.0),
    "First the mean is subtracted, then divided by the standard deviation.":
        lambda x, m, s: _prepared(x, m, s, normal=lambda v, m, s: v / s - m),
    "Divide by the standard deviation; you multiply.":
        lambda x, m, s: _prepared(x, m, s, normal=lambda v, m, s: (v - m) * s),
    "The mean is subtracted, but nothing is divided by the standard deviation.":
        lambda x, m, s: _prepared(x, m, s, normal=lambda v, m, s: v - m),
    "`reshape` reads the numbers in their old order and mixes up the pixels: permute the "
    "axes.": _reshaped,
    "The channels still come last: permute the axes to (n, 3, height, width).":
        lambda x, m, s: _prepared(x, m, s, places=lambda values: values),
}, places=6)

_rates_by_depth = Exercise("06.4 rates by depth", "rates_by_depth(n_depths, rate, decay)", [
    ((1, 0.1, 0.5), [0.1], "A head alone trains at the full rate."),
    ((2, 0.1, 0.5), [0.05, 0.1], "The head comes last."),
    ((4, 1.0, 0.5), [0.125, 0.25, 0.5, 1.0], "Each is half of the next."),
    ((3, 0.002, 0.7), [0.00098, 0.0014, 0.002], "0.7 times 0.7 for the first."),
    ((3, 0.5, 1.0), [0.5, 0.5, 0.5], "A decay of 1 leaves all rates equal."),
], {
    "That is the other way round: the depth that reads the image comes first in the list, "
    "and has the smallest rate.": lambda n, r, d: [r * d**i for i in range(n)],
    "The head trains at the full rate: its factor is decay ** 0.":
        lambda n, r, d: [r * d ** (n - i) for i in range(n)],
    "Those are the factors. Multiply them by the rate.":
        lambda n, r, d: [d ** (n - 1 - i) for i in range(n)],
    "Rates shrink by a factor from depth to depth, not by a constant step.":
        lambda n, r, d: [r * (1 - (1 - d) * (n - 1 - i)) for i in range(n)],
}, places=6)


def _averaged(weights: Sequence[float], decay: float) -> list[float]:
    return list(accumulate(weights, lambda a, w: decay * a + (1 - decay) * w))


_moving_averages = Exercise("06.5 averaged weights", "moving_averages(weights, decay)", [
    (([2.0], 0.9), [2.0], "The first average is the first weight."),
    (([1.0, 2.0], 0.75), [1.0, 1.25], "0.75 x 1 + 0.25 x 2"),
    (([1.0, 2.0, 3.0], 0.5), [1.0, 1.5, 2.25], "Go on from the last *average*."),
    (([4.0, 0.0, 0.0], 0.5), [4.0, 2.0, 1.0], "An old weight is forgotten slowly."),
    (([1.0, 5.0, 2.0], 0.0), [1.0, 5.0, 2.0], "A decay of 0 keeps nothing."),
    (([1.0, 5.0, 2.0], 1.0), [1.0, 1.0, 1.0], "A decay of 1 takes in nothing."),
], {
    "decay and 1 - decay have changed places: decay is the share of the old average.":
        lambda w, d: _averaged(w, 1 - d),
    "The average begins at zero. It should begin with the first weight.":
        lambda w, d: _averaged([0.0, *w], d)[1:],
    "Each average goes on from the last average, not from the last weight.":
        lambda w, d: [w[0], *(d * a + (1 - d) * b for a, b in pairwise(w))],
    "That is the mean of all weights so far, which has no decay.":
        lambda w, d: [sum(w[: i + 1]) / (i + 1) for i in range(len(w))],
    "That is the last average. Asked is the list of all of them.":
        lambda w, d: _averaged(w, d)[-1],
}, places=6)
