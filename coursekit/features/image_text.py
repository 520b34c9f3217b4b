"""Embed images and texts by a model that was trained on both, such as CLIP.

Any model of open_clip will do. Nothing here knows what the embeddings are compared for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.datasets import ImageSet
from coursekit.errors import SettingsError
from coursekit.features.embed import embed
from coursekit.features.embeddings import Embeddings
from coursekit.models import model_configuration
from coursekit.transforms import fit_to_model

__all__ = ["check_texts", "embed_images", "embed_texts"]


def embed_images(
    model: nn.Module,
    data: ImageSet | Tensor | tuple[Tensor, Tensor],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> Embeddings:
    """Return what the image tower makes of every image, each of length 1.

    Parameters
    ----------
    model : Module
        Of open_clip: it knows itself which size and which brightness it wants.
    data : ImageSet, Tensor, or pair of Tensors
        Images, with labels or without. Tensors have the shape (n_images, 3, height, width),
        uint8 from 0 to 255 or float from 0 to 1.
    batch_size : int, optional
    device : torch.device or str, optional
    progress_bar : bool, default=True
        All three as for `embed`.

    Returns
    -------
    Embeddings
        The rows are ``model.encode_image(images, normalize=True)``.

    Raises
    ------
    SettingsError
        If the model has no image tower of open_clip.
    ShapeError
        If the images have not three channels.

    Notes
    -----
    `embed` alone stops before the last layer, which it takes for a head. Here that layer is
    what leads into the space that images and texts share.
    """
    transform = fit_to_model(model_configuration(model))
    tower = _ImageTower(model.visual)
    tower.train(model.training)
    made = embed(
        tower,
        data,
        layer="",
        transform=transform,
        batch_size=batch_size,
        device=device,
        progress_bar=progress_bar,
    )
    return replace(made, source=replace(made.source, model=type(model).__name__))


@torch.no_grad()
def embed_texts(
    model: nn.Module,
    tokenizer: Callable[[list[str]], Tensor],
    texts: str | Sequence[str],
    *,
    batch_size: int = 256,
) -> Tensor:
    """Return what the text tower makes of every text, each of length 1.

    Parameters
    ----------
    model : Module
        Of open_clip.
    tokenizer : callable
        The one that belongs to it.
    texts : str or sequence of str
    batch_size : int, default=256
        Texts that go through the model at once.

    Returns
    -------
    Tensor of shape (n_texts, n_features), float32
        On the model's device.

    Raises
    ------
    SettingsError
        If there is no text, or one is empty or no text.
    """
    texts = check_texts([texts] if isinstance(texts, str) else texts, "texts")
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        rows = [
            model.encode_text(tokenizer(texts[start : start + batch_size]).to(device))
            for start in range(0, len(texts), batch_size)
        ]
    finally:
        model.train(was_training)
    return F.normalize(torch.cat(rows).float(), dim=1)


def check_texts(texts: Sequence[str], name: str) -> list[str]:
    """Return `texts` as a list, or raise a `SettingsError` that says which one is none."""
    texts = list(texts)
    if not texts:
        msg = f"{name} must hold at least one text, got none."
        raise SettingsError(msg)
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            msg = (
                f"{name} must be texts that are not empty, got {text!r} at place {number}."
            )
            raise SettingsError(msg)
    return texts


class _ImageTower(nn.Module):
    """Images in, embeddings of length 1 out."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.visual(images), dim=-1)
