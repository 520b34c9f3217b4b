"""The exercises of lesson 02, CNN architectures."""

from collections.abc import Callable

import torch
from torch import Tensor

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005


def _found(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    return (logits.topk(k).indices == labels[:, None]).any(1).double()


_LOGITS = torch.tensor([[4.0, 1, 2, 3], [1, 3, 4, 2], [2, 1, 3, 9], [1, 4, 3, 2]])
_LABELS = torch.tensor([3, 2, 1, 0])  # ranks 2, 1, 4, 4
_ONE = _LOGITS[:1], _LABELS[:1]

_top_k_error = Exercise("02.1 top-k error", "top_k_error(logits, labels, k)", [
    ((*_ONE, 1), 1.0, "The only label has not the largest logit: a share of 1 is wrong."),
    ((*_ONE, 2), 0.0, "The only label has the second largest logit of its image."),
    ((_LOGITS, _LABELS, 2), 0.5, "Two of four: a label is found if it is among the k largest."),
    ((_LOGITS - 10, _LABELS, 1), 0.75, "Logits may be negative: only their order counts."),
], {
    "That is the share that is right. An error counts the others.":
        lambda x, y, k: _found(x, y, k).mean(),
    "An image has one label, so at most one of its k guesses can be right: average over "
    "the images.": lambda x, y, k: 1 - _found(x, y, k).mean() / k,
    "k is not used yet: a label is found if it is among the k largest.":
        lambda x, y, k: 1 - _found(x, y, 1).mean(),
})

_stacked_kernels = Exercise(
    "02.2 stacked kernels", "stacked_kernels(field, channels, kernel=3)", [
    ((3, 1, 3), (1, 9), "One 3x3 layer sees 3 x 3 pixels and has nine weights."),
    ((5, 1, 3), (2, 18), "How many pixels does each layer add to the field?"),
    ((5, 2, 3), (2, 72), "Each filter reads every channel: C in and C out."),
    ((9, 1, 3), (4, 36), "A fourth layer adds two more pixels, not three."),
    ((9, 3, 5), (2, 450), "The kernel of the stack need not be 3x3."),
    ((7, 1, 5), ValueError, "No whole number of these layers sees exactly that: refuse it."),
], {
    "Neighboring windows overlap: the first layer sees its kernel, each other layer adds "
    "less than that.": lambda f, c, k: (-(-f // k), -(-f // k) * k * k * c * c),
    "Each filter reads every channel, and there are as many filters as channels.":
        lambda f, c, k: ((f - 1) // (k - 1), (f - 1) // (k - 1) * k * k * c),
    "Those are the weights of one layer. How many layers are there?":
        lambda f, c, k: ((f - 1) // (k - 1), k * k * c * c),
})

_inception_size = Exercise(
    "02.3 inception channels", "inception_size(in_channels, n_1x1, n_3x3, n_5x5, n_pool)", [
    ((1, 1, (1, 1), (1, 1), 1), (4, 38),
     "One filter everywhere: four maps come out, made by 38 weights without biases."),
    ((1, 2, (3, 4), (5, 6), 7), (19, 875), "What is joined at the end of the branches?"),
    ((8, 2, (3, 4), (5, 6), 7), (19, 994), "Which layers read what comes in?"),
], {
    "The reductions are read by the next layer only; they do not leave the module.":
        lambda i, a, b, c, p: (a + sum(b) + sum(c) + p, i * (a + b[0] + c[0] + p)
                               + 9 * b[0] * b[1] + 25 * c[0] * c[1]),
    "After the 1x1 reduction, how many channels does the large kernel read?":
        lambda i, a, b, c, p: (
            a + b[1] + c[1] + p, i * (a + b[0] + 9 * b[1] + c[0] + 25 * c[1] + p)),
    "The pooling has no weights, but the 1x1 convolution after it does.":
        lambda i, a, b, c, p: (a + b[1] + c[1] + p, i * (a + b[0] + c[0])
                               + 9 * b[0] * b[1] + 25 * c[0] * c[1]),
})

_separable_share = Exercise(
    "02.5 separable savings", "separable_share(in_channels, out_channels, kernel)", [
    ((1, 1, 3), 10 / 9, "Nine for the depthwise part, one for the 1x1, against nine."),
    ((2, 1, 3), 20 / 18, "Both parts read both channels."),
    ((1, 2, 3), 11 / 18, "The depthwise part is done once, however many come out."),
    ((32, 64, 5), 1 / 64 + 1 / 25, "With a larger kernel it saves more."),
], {
    "The 1x1 convolution after the depthwise one has to be paid too.":
        lambda i, o, k: 1 / o,
    "The depthwise convolution before the 1x1 one has to be paid too.":
        lambda i, o, k: 1 / k**2,
    "Which number of channels cancels, the one that comes in or the one that goes out?":
        lambda i, o, k: 1 / i + 1 / k**2,
})


def _check_batch_norm(answer: Callable) -> None:
    gamma, beta = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, -1.0, 1.0])
    factor, shift = gamma.view(3, 1, 1), beta.view(3, 1, 1)
    x = (torch.arange(48.0) * 1.7).sin().reshape(4, 3, 2, 2) * factor + shift
    right, got = _normalize(x, (0, 2, 3)), _maps(answer, x, torch.ones(3), torch.zeros(3))
    for hint, wrong in {
        "Each place is normalized on its own. A channel has one mean, over images and places.":
            _normalize(x, (0,)),
        "Each image is normalized on its own. The batch gives one mean a channel.":
            _normalize(x, (2, 3)),
        "The channels are mixed: each has a mean and a variance of its own.":
            _normalize(x, (0, 1, 2, 3)),
        "The variance divides by the number of values, not by one less (correction=0).":
            _normalize(x, (0, 2, 3), correction=1),
    }.items():
        stop_if(_near(got, wrong), hint)
    stop_if(not _near(got, right), "With gamma 1 and beta 0 each channel should have mean 0 and "
            "deviation 1, over all images and places: subtract the mean, and divide by the "
            "square root of the variance.")
    got = _maps(answer, x, gamma, beta)
    stop_if(_near(got, right),
            "gamma and beta are not used yet: after normalizing, multiply and add.")
    stop_if(not _near(got, right * factor + shift),
            "With gamma 1 and beta 0 it is right. Channel c is multiplied by gamma[c], then "
            "beta[c] is added: which dimension of x is the channels'?")
    flat = _maps(answer, torch.ones(2, 1, 2, 2), torch.ones(1), torch.zeros(1))
    stop_if(not torch.isfinite(flat).all(),
            "A channel of one value has variance 0: eps is added before the square root.")


_batch_norm = Exercise("02.4 batch normalization", "batch_norm(x, gamma, beta, eps=1e-5)",
    check=_check_batch_norm)


def _normalize(x: Tensor, dims: tuple[int, ...], *, correction: int = 0) -> Tensor:
    variance = x.var(dims, keepdim=True, correction=correction)
    return (x - x.mean(dims, keepdim=True)) / (variance + 1e-5).sqrt()


def _near(got: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(got, wanted, rtol=1e-3, atol=1e-3)


def _maps(answer: Callable, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    value = call(answer, x.clone(), gamma, beta)
    stop_if(getattr(value, "shape", None) != x.shape,
            f"Normalizing keeps the shape: asked is a tensor of shape {tuple(x.shape)}.")
    return torch.as_tensor(value).detach().float()
