"""The exercises of lesson 06, timm."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from torch import Tensor, tensor

from coursekit.course.checking import Exercise

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005


def _kernels(*filters: list[float]) -> Tensor:
    """Return kernels of 1 x 1, (n_filters, n_channels, 1, 1)."""
    return tensor(filters)[:, :, None, None]


def _repeated(weight: Tensor, n_channels: int) -> Tensor:
    return weight.repeat(1, -(-n_channels // 3), 1, 1)[:, :n_channels]


_adapt_channels = Exercise("06.1 other channels", "adapt_channels(weight, n_channels)", [
    ((_kernels([1.0, 2, 4], [0, -1, 3]), 1), _kernels([7.0], [2.0]),
     "One channel gets the sum of the three kernels, in each filter."),
    ((_kernels([1.0, 2, 4]), 2), _kernels([1.5, 3.0]),
     "Two channels: the first two, times 3 / 2."),
    ((_kernels([1.0, 2, 4]), 8), _kernels([0.375, 0.75, 1.5] * 2 + [0.375, 0.75]),
     "Red, green, blue, again and again: the third time is cut off after eight."),
], {
    "One channel gets the sum, not the mean: a gray image has the same number in all three "
    "channels.": lambda w, n: w.mean(1, True) if n == 1 else _repeated(w, n) * 3 / n,
    "The kernels are repeated, but not scaled: multiply by 3 / n_channels, so that the sum "
    "over all channels keeps its size.":
        lambda w, n: w.sum(1, True) if n == 1 else _repeated(w, n),
    "The scale is 3 / n_channels, not n_channels / 3: more channels, smaller weights.":
        lambda w, n: w.sum(1, True) if n == 1 else _repeated(w, n) * n / 3,
}, places=6)

_USUAL = [2, 4, 8, 16]

_deepest_level = Exercise(
    "06.2 the right level", "deepest_level(reductions, side, places)", [
    ((_USUAL, 32, 16), 0, "32 / 2 = 16 places, and no other level has as many."),
    ((_USUAL, 32, 4), 2, "32 / 8 = 4 places are enough; 32 / 16 = 2 are not."),
    ((_USUAL, 32, 3), 2, "4 places are at least 3."),
    (([4, 4, 8], 32, 8), 1, "Where two levels are of one size, take the deeper."),
    ((_USUAL, 32, 17), ValueError, "No level has so many places: refuse it."),
], {
    "That is the first level that has enough places. Asked is the deepest.":
        lambda r, s, p: next(i for i, n in enumerate(r) if s // n >= p),
    "That is the reduction. Asked is the level's index.":
        lambda r, s, p: max(n for n in r if s // n >= p),
    '"At least" includes equal: use >=, not >.':
        lambda r, s, p: max((i for i, n in enumerate(r) if s // n > p), default=0),
})

_PLAIN, _ODD = ((0.0,) * 3, (1.0,) * 3), ((0.5, 0.25, 0.0), (0.5, 0.25, 0.2))


def _normal(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return (images.float() / 255 - tensor(mean)) / tensor(std)


_prepare_images = Exercise("06.3 preparation", "prepare_images(images, mean, std)", [
    ((tensor([[[[0, 51, 255]]]]).byte(), *_PLAIN), [[[[0.0]], [[0.2]], [[1.0]]]],
     "Brightness runs from 0 to 1, not to 255, before anything else is done."),
    ((tensor([[[[255, 0, 51]]]]).byte(), *_ODD), [[[[1.0]], [[-1.0]], [[1.0]]]],
     "Each channel has its own mean and standard deviation: subtract, then divide."),
    ((tensor([[[[0, 51, 255], [255, 0, 0]]]]).byte(), *_PLAIN),
     [[[[0.0, 1.0]], [[0.2, 0.0]], [[1.0, 0.0]]]],
     "Channels come before rows and columns: permute the axes, do not reshape."),
], {
    "`reshape` reads the numbers in their old order and mixes up the pixels: permute the "
    "axes.": lambda x, m, s: _normal(x.reshape(len(x), 3, -1).mT, m, s).mT.reshape(
            len(x), 3, *x.shape[1:3]),
    "The channels still come last: permute the axes to (n, 3, height, width).": _normal,
}, places=6)

_rates_by_depth = Exercise("06.4 rates by depth", "rates_by_depth(n_depths, rate, decay)", [
    ((1, 0.1, 0.5), [0.1], "A head alone trains at the full rate."),
    ((2, 0.1, 0.5), [0.05, 0.1], "The head comes last."),
    ((3, 0.002, 0.7), [0.00098, 0.0014, 0.002], "0.7 times 0.7 for the first."),
], {
    "That is the other way round: the depth that reads the image comes first in the list, "
    "and has the smallest rate.": lambda n, r, d: [r * d**i for i in range(n)],
    "The head trains at the full rate: its factor is decay ** 0.":
        lambda n, r, d: [r * d ** (n - i) for i in range(n)],
    "Those are the factors. Multiply them by the rate.":
        lambda n, r, d: [d ** (n - 1 - i) for i in range(n)],
}, places=6)


def _averaged(weights: Sequence[float], decay: float) -> list[float]:
    return list(accumulate(weights, lambda a, w: decay * a + (1 - decay) * w))


_moving_averages = Exercise("06.5 averaged weights", "moving_averages(weights, decay)", [
    (([2.0], 0.9), [2.0], "The first average is the first weight."),
    (([1.0, 2.0], 0.75), [1.0, 1.25], "0.75 x 1 + 0.25 x 2"),
    (([1.0, 2.0, 3.0], 0.5), [1.0, 1.5, 2.25], "Go on from the last *average*."),
], {
    "decay and 1 - decay have changed places: decay is the share of the old average.":
        lambda w, d: _averaged(w, 1 - d),
    "Each average goes on from the last average, not from the last weight.":
        lambda w, d: [w[0], *(d * a + (1 - d) * b for a, b in pairwise(w))],
    "That is the last average. Asked is the list of all of them.":
        lambda w, d: _averaged(w, d)[-1],
}, places=6)
