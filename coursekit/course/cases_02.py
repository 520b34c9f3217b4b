"""The exercises of lesson 02, CNN architectures."""

from collections.abc import Callable

import torch
from torch import Tensor

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005


def _error(logits: Tensor, labels: Tensor, k: int) -> float:
    found = (logits.topk(k).indices == labels[:, None]).any(dim=1)
    return 1 - found.double().mean().item()


_LOGITS = torch.tensor([[4.0, 1, 2, 3], [1, 3, 4, 2], [2, 1, 3, 9], [1, 4, 3, 2]])
_LABELS = torch.tensor([3, 2, 1, 0])  # ranks 2, 1, 4, 4
_ONE, _TWO = (_LOGITS[:1], _LABELS[:1]), (_LOGITS[:2], _LABELS[:2])

_top_k_error = Exercise("02.1 top-k error", "top_k_error(logits, labels, k)", [
    ((*_ONE, 1), 1.0, "The only label is not the one with the largest logit."),
    ((*_ONE, 2), 0.0, "The only label has the second largest logit of its image."),
    ((*_TWO, 1), 0.5, "One image of two is wrong."),
    ((_LOGITS, _LABELS, 2), 0.5, "A label is found if it is among the k largest."),
    ((_LOGITS, _LABELS, 3), 0.5, "The other two labels have the smallest logits."),
    ((_LOGITS, _LABELS, 4), 0.0, "Among all classes every label is found."),
    ((_LOGITS - 10, _LABELS, 1), 0.75, "Logits may be negative: only their order counts."),
], {
    "That is the share that is right. An error counts the others.":
        lambda x, y, k: 1 - _error(x, y, k),
    "That is in percent. Here an error is a share, between 0 and 1.":
        lambda x, y, k: 100 * _error(x, y, k),
    "That is a number of images. Divide by how many there are.":
        lambda x, y, k: len(y) * _error(x, y, k),
    "An image has one label, so at most one of its k guesses can be right: average over "
    "the images.": lambda x, y, k: 1 - (1 - _error(x, y, k)) / k,
    "k is not used yet: a label is found if it is among the k largest.":
        lambda x, y, k: _error(x, y, 1),
    "Those are the k smallest logits of an image. Which are the best guesses?":
        lambda x, y, k: _error(-x, y, k),
})

_UNEVEN = "No whole number of these layers sees exactly that: raise ValueError there."

_stacked_kernels = Exercise(
    "02.2 stacked kernels", "stacked_kernels(field, channels, kernel=3)", [
    ((3, 1, 3), (1, 9), "One 3x3 layer sees 3 x 3 pixels and has nine weights."),
    ((5, 1, 3), (2, 18), "How many pixels does each layer add to the field?"),
    ((7, 1, 3), (3, 27), "One 7x7 kernel has 49 weights: how many have three 3x3?"),
    ((5, 2, 3), (2, 72), "Each filter reads every channel: C in and C out."),
    ((9, 1, 5), (2, 50), "The kernel of the stack need not be 3x3."),
    ((11, 64, 3), (5, 184320), "Everything at once."),
    ((4, 1, 3), ValueError, _UNEVEN),
    ((7, 1, 5), ValueError, _UNEVEN),
], {
    "Neighboring windows overlap: the first layer sees its kernel, each other layer adds "
    "less than that.": lambda f, c, k: (-(-f // k), -(-f // k) * k * k * c * c),
    "Each filter reads every channel, and there are as many filters as channels.":
        lambda f, c, k: ((f - 1) // (k - 1), (f - 1) // (k - 1) * k * k * c),
    "Those are the weights of one layer. How many layers are there?":
        lambda f, c, k: ((f - 1) // (k - 1), k * k * c * c),
    "Those are the weights of one large kernel. Count those of the stack.":
        lambda f, c, k: ((f - 1) // (k - 1), f * f * c * c),
})


def _weights(n_in: int, a: int, b: tuple[int, int], c: tuple[int, int], pool: int) -> int:
    """Return the weights of an Inception module; a, b, c are its 1x1, 3x3 and 5x5 branches."""
    return n_in * (a + b[0] + c[0] + pool) + 9 * b[0] * b[1] + 25 * c[0] * c[1]


_inception_size = Exercise(
    "02.3 inception channels", "inception_size(in_channels, n_1x1, n_3x3, n_5x5, n_pool)", [
    ((1, 1, (1, 1), (1, 1), 1), (4, 38), "One filter everywhere: four maps come out."),
    ((1, 2, (3, 4), (5, 6), 7), (19, 875), "What is joined at the end of the branches?"),
    ((8, 2, (3, 4), (5, 6), 7), (19, 994), "Which layers read what comes in?"),
    ((192, 64, (96, 128), (16, 32), 32), (256, 163328), "Inception (3a) of GoogLeNet."),
], {
    "The reductions are read by the next layer only; they do not leave the module.":
        lambda i, a, b, c, p: (a + sum(b) + sum(c) + p, _weights(i, a, b, c, p)),
    "After the 1x1 reduction, how many channels does the large kernel read?":
        lambda i, a, b, c, p: (
            a + b[1] + c[1] + p, i * (a + b[0] + 9 * b[1] + c[0] + 25 * c[1] + p)),
    "The pooling has no weights, but the 1x1 convolution after it does.":
        lambda i, a, b, c, p: (a + b[1] + c[1] + p, _weights(i, a, b, c, 0)),
    "The 1x1 reductions have weights too.": lambda i, a, b, c, p: (
            a + b[1] + c[1] + p, i * (a + p) + 9 * b[0] * b[1] + 25 * c[0] * c[1]),
    "The pooled branch is joined as well.":
        lambda i, a, b, c, p: (a + b[1] + c[1], _weights(i, a, b, c, p)),
})

_separable_share = Exercise(
    "02.5 separable savings", "separable_share(in_channels, out_channels, kernel)", [
    ((1, 1, 3), 10 / 9, "Nine for the depthwise part, one for the 1x1, against nine."),
    ((2, 1, 3), 20 / 18, "Both parts read both channels."),
    ((1, 2, 3), 11 / 18, "The depthwise part is done once, however many come out."),
    ((64, 64, 3), 1 / 64 + 1 / 9, "As in a middle layer of MobileNet."),
    ((32, 64, 5), 1 / 64 + 1 / 25, "With a larger kernel it saves more."),
    ((16, 8, 1), 1.125, "With a 1x1 kernel there is nothing to save."),
], {
    "That is how many times more the standard one takes. Turn the fraction over.":
        lambda i, o, k: 1 / (1 / o + 1 / k**2),
    "That is what is saved. Asked is what is left of the work.":
        lambda i, o, k: 1 - (1 / o + 1 / k**2),
    "The 1x1 convolution after the depthwise one has to be paid too.":
        lambda i, o, k: 1 / o,
    "The depthwise convolution before the 1x1 one has to be paid too.":
        lambda i, o, k: 1 / k**2,
    "Which number of channels cancels, the one that comes in or the one that goes out?":
        lambda i, o, k: 1 / i + 1 / k**2,
})


def _check_batch_norm(answer: Callable) -> None:
    x = (torch.arange(48.0) * 1.7).sin().reshape(4, 3, 2, 2)
    x = x * torch.tensor([1.0, 4.0, 0.5]).view(3, 1, 1) + torch.arange(3.0).view(3, 1, 1)
    _check_normal(_call_with_maps(answer, x, torch.ones(3), torch.zeros(3)), x)
    gamma, beta = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, -1.0, 1.0])
    got = _call_with_maps(answer, x, gamma, beta)
    gamma, beta, normal = gamma.view(3, 1, 1), beta.view(3, 1, 1), _normalize(x, (0, 2, 3))
    _stop_at_first_near(got, {
        "": normal * gamma + beta,
        "gamma and beta are not used yet: after normalizing, multiply and add.": normal,
        "beta is added last: otherwise gamma would scale it too.": (normal + beta) * gamma,
        "With gamma 1 and beta 0 it is right. Channel c is multiplied by gamma[c], then "
        "beta[c] is added: which dimension of x is the channels'?": got,
    })
    flat = torch.full((2, 1, 2, 2), 3.0)
    value = _call_with_maps(answer, flat, torch.ones(1), torch.zeros(1))
    stop_if(not torch.isfinite(value).all(),
            "A channel of one value has variance 0: eps is added before the square root.")


_batch_norm = Exercise("02.4 batch normalization", "batch_norm(x, gamma, beta, eps=1e-5)",
    check=_check_batch_norm, sample=([[[[0.0]]]], [1.0], [0.0]))


def _check_normal(got: Tensor, x: Tensor) -> None:
    """Say what is wrong with gamma 1 and beta 0."""
    centered = x - x.mean((0, 2, 3), keepdim=True)
    deviation = (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    mean, spread = got[:, 0].mean().item(), got[:, 0].std(correction=0).item()
    _stop_at_first_near(got, {
        "": _normalize(x, (0, 2, 3)),
        "Each place is normalized on its own. A channel has one mean, over images and places.":
            _normalize(x, (0,)),
        "Each image is normalized on its own. The batch gives one mean a channel.":
            _normalize(x, (2, 3)),
        "The channels are mixed: each has a mean and a variance of its own.":
            _normalize(x, (0, 1, 2, 3)),
        "Each image is normalized over its channels, which is layer normalization.":
            _normalize(x, (1, 2, 3)),
        "The variance divides by the number of values, not by one less (correction=0).":
            _normalize(x, (0, 2, 3), correction=1),
        "Divide by the square root of the variance, not by the variance.":
            centered / deviation**2,
        "The mean is still there: subtract it first.": x / deviation,
        "The mean is gone; divide by the deviation as well.": centered,
        "With gamma 1 and beta 0 each channel should have mean 0 and deviation 1, over all "
        f"images and places. Its first channel has mean {mean:.3g} and deviation {spread:.3g}.":
            got,
    })


def _normalize(x: Tensor, dims: tuple[int, ...], *, correction: int = 0) -> Tensor:
    variance = x.var(dims, keepdim=True, correction=correction)
    return (x - x.mean(dims, keepdim=True)) / (variance + 1e-5).sqrt()


def _stop_at_first_near(got: Tensor, candidates: dict[str, Tensor]) -> None:
    got = got.nan_to_num(1e9).double()  # so that the last candidate is near itself
    for hint, wanted in candidates.items():
        if torch.allclose(got, wanted.nan_to_num(1e9).double(), rtol=1e-3, atol=1e-3):
            return stop_if(bool(hint), hint)
    return None


def _call_with_maps(answer: Callable, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    value = call(answer, x.clone(), gamma, beta)
    try:
        maps = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        maps = None
    stop_if(maps is None, f"It returned {type(value).__name__}, and maps were asked for.")
    stop_if(maps.shape != x.shape, f"Normalizing keeps the shape {tuple(x.shape)}, and "
            f"{tuple(maps.shape)} came back.")
    return maps
