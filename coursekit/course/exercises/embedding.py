"""What to say of a learner's loop that takes embeddings.

Nothing here knows how an answer is reported.
"""

from typing import TYPE_CHECKING, Any

from coursekit.course.exercises.checking import call

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_embedding"]


def check_embedding(answer: object) -> str | None:
    """Return a hint, or None when `answer` embeds images as it should.

    Parameters
    ----------
    answer : callable
        Takes a model, images of shape (n_images, channels, height, width) and the size of
        the batches.

    Returns
    -------
    str or None
    """
    import torch  # slow to import

    model, seen = _watched_model()
    images = torch.linspace(-1, 1, 7 * 2 * 9).sin().reshape(7, 2, 3, 3)
    statistics = model[0].running_mean.clone()
    with torch.no_grad():
        right = model.eval()(images)
    model.train()
    seen.clear()
    with torch.enable_grad():
        got = call(answer, model, images.clone(), 3)
    hint = _diagnose_passes(seen) or _diagnose_rows(got, right, seen)
    if hint:
        return hint
    if not torch.equal(model[0].running_mean, statistics):
        return "The model's running statistics have changed: it ran in training mode."
    if not model.training:
        return "The model was in training mode before, and is in evaluation mode now."
    model.eval()
    again = call(answer, model, images.clone(), 100)
    if model.training:
        return (
            "The model was in evaluation mode before, and is in training mode now: remember "
            "model.training, and restore what it was."
        )
    return _diagnose_rows(again, right, seen)


def _watched_model() -> "tuple[nn.Module, list[dict[str, Any]]]":
    """Return a model with both kinds of layers that eval() changes, and what it is given."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(
        nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 4)
    )
    with torch.no_grad():
        for parameter in model[3].parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        model[0].running_mean.copy_(torch.tensor([0.5, -1.0]))
    seen: list[dict[str, Any]] = []

    def watch(module: nn.Module, inputs: tuple) -> None:
        about = {"n": len(inputs[0]), "train": module.training}
        seen.append(about | {"grad": torch.is_grad_enabled()})

    model.register_forward_pre_hook(watch)
    return model, seen


def _diagnose_passes(seen: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with how the model was run on 7 images, 3 at a time."""
    if not seen:
        return "The model was not called."
    if any(one["train"] for one in seen):
        return (
            "The model ran in training mode, so dropout and batch normalization make a row "
            "depend on chance and on the other images: model.eval() first."
        )
    if max(one["n"] for one in seen) > 3:
        n_most = max(one["n"] for one in seen)
        return f"With batch_size=3 the model was given {n_most} images at once."
    if any(one["grad"] for one in seen):
        return (
            "The model ran with gradients on, which keeps the activations: use "
            "torch.inference_mode() or torch.no_grad()."
        )
    n_images = sum(one["n"] for one in seen)
    if n_images < 7:
        return f"Only {n_images} of 7 images went through the model: is the last batch left out?"
    return None


def _diagnose_rows(got: object, right: "Tensor", seen: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with the tensor that came back."""
    import torch

    if not isinstance(got, torch.Tensor):
        return f"It returned {type(got).__name__}. Join the batches: torch.cat(...)."
    if got.requires_grad:
        return "The result has a history, which keeps memory: gradients were on."
    if got.shape != right.shape:
        return (
            f"7 images with embeddings of 4 numbers make the shape (7, 4), and "
            f"{tuple(got.shape)} came back from batches of {[one['n'] for one in seen]}."
        )
    if not torch.allclose(got, right, atol=1e-5):
        is_reordered = torch.allclose(got.sort(0).values, right.sort(0).values, atol=1e-5)
        words = "in another order" if is_reordered else "other numbers"
        return f"The rows are {words} than what the model makes of the images one by one."
    return None
