"""What to say of a learner's batch normalization.

Nothing here knows how an answer is reported.
"""

from typing import TYPE_CHECKING

from coursekit.course.exercises.checking import call

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_batch_norm"]


def check_batch_norm(answer: object) -> str | None:
    """Return a hint, or None when `answer` normalizes a batch as in training.

    Parameters
    ----------
    answer : callable
        Takes maps of shape (n_images, channels, height, width), gamma and beta of shape
        (channels,), and eps.

    Returns
    -------
    str or None
    """
    import torch  # slow to import

    x = (torch.arange(48.0) * 1.7).sin().reshape(4, 3, 2, 2)
    x = x * torch.tensor([1.0, 4.0, 0.5]).view(3, 1, 1) + torch.arange(3.0).view(3, 1, 1)
    unit = torch.ones(3), torch.zeros(3)
    plain, hint = _as_maps(call(answer, x.clone(), *unit), like=x)
    hint = hint or _diagnose_normalization(plain, x)
    if hint:
        return hint
    gamma, beta = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, -1.0, 1.0])
    scaled, hint = _as_maps(call(answer, x.clone(), gamma, beta), like=x)
    hint = hint or _diagnose_scaling(scaled, x, gamma.view(3, 1, 1), beta.view(3, 1, 1))
    return hint or _check_flat_channel(answer)


def _normalize(x: "Tensor", dims: tuple[int, ...], *, correction: int = 0) -> "Tensor":
    variance = x.var(dims, keepdim=True, correction=correction)
    return (x - x.mean(dims, keepdim=True)) / (variance + 1e-5).sqrt()


def _diagnose_normalization(got: "Tensor", x: "Tensor") -> str | None:
    """Return what is wrong with gamma 1 and beta 0, or None."""
    if _is_near(got, _normalize(x, (0, 2, 3))):
        return None
    deviation = (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    wrong = {
        "Each place is normalized on its own. A channel has one mean, over images and places.": (
            _normalize(x, (0,))
        ),
        "Each image is normalized on its own. The batch gives one mean a channel.": (
            _normalize(x, (2, 3))
        ),
        "The channels are mixed: each has a mean and a variance of its own.": (
            _normalize(x, (0, 1, 2, 3))
        ),
        "Each image is normalized over its channels, which is layer normalization.": (
            _normalize(x, (1, 2, 3))
        ),
        "The variance divides by the number of values, not by one less (correction=0).": (
            _normalize(x, (0, 2, 3), correction=1)
        ),
        "Divide by the square root of the variance, not by the variance.": (
            (x - x.mean((0, 2, 3), keepdim=True)) / (deviation**2)
        ),
        "The mean is still there: subtract it first.": x / deviation,
        "The mean is gone; divide by the deviation as well.": (
            x - x.mean((0, 2, 3), keepdim=True)
        ),
    }
    for hint, candidate in wrong.items():
        if _is_near(got, candidate):
            return hint
    return (
        "With gamma 1 and beta 0 each channel should have mean 0 and deviation 1, over all "
        f"images and places. Its first channel has mean {got[:, 0].mean().item():.3g} and "
        f"deviation {got[:, 0].std(correction=0).item():.3g}."
    )


def _diagnose_scaling(
    got: "Tensor", x: "Tensor", gamma: "Tensor", beta: "Tensor"
) -> str | None:
    """Return what is wrong with the scaling after the normalizing, or None."""
    normal = _normalize(x, (0, 2, 3))
    if _is_near(got, normal * gamma + beta):
        return None
    if _is_near(got, normal):
        return "gamma and beta are not used yet: after normalizing, multiply and add."
    if _is_near(got, (normal + beta) * gamma):
        return "beta is added last: otherwise gamma would scale it too."
    return (
        "With gamma 1 and beta 0 it is right. Channel c is multiplied by gamma[c], then "
        "beta[c] is added: which dimension of x is the channels'?"
    )


def _check_flat_channel(answer: object) -> str | None:
    import torch

    flat = torch.full((2, 1, 2, 2), 3.0)
    value, hint = _as_maps(call(answer, flat, torch.ones(1), torch.zeros(1)), like=flat)
    if hint is None and not torch.isfinite(value).all():
        return "A channel of one value has variance 0: eps is added before the square root."
    return hint


def _as_maps(value: object, *, like: "Tensor") -> "tuple[Tensor, str | None]":
    import torch

    try:
        maps = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        return like, f"It returned {type(value).__name__}, and maps were asked for."
    if maps.shape != like.shape:
        return like, (
            f"Normalizing keeps the shape {tuple(like.shape)}, and {tuple(maps.shape)} came back."
        )
    return maps, None


def _is_near(left: "Tensor", right: "Tensor") -> bool:
    import torch

    return torch.allclose(left.double(), right.double(), rtol=1e-3, atol=1e-3)
