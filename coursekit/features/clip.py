"""Embed images and texts by a model of open_clip, and classify images by names alone."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.datasets import ImageSet
from coursekit.errors import SettingsError
from coursekit.features.embed import Embeddings, embed
from coursekit.models import model_configuration
from coursekit.transforms import fit_to_model

__all__ = ["embed_images", "embed_texts", "zero_shot_classifier"]

Tokenizer = Callable[[list[str]], Tensor]


class _ImageTower(nn.Module):
    """Images in, embeddings of length 1 out."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.training = visual.training

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.visual(images), dim=-1)


def embed_images(
    model: nn.Module,
    data: ImageSet | Tensor | tuple[Tensor, Tensor],
    *,
    device: torch.device | str | None = None,
    progress_bar: bool = True,
) -> Embeddings:
    """Return what the image tower makes of every image, each of length 1.

    The rows are ``model.encode_image(images, normalize=True)``. (`embed` alone stops before
    the last layer, which leads into the space that images and texts share.)

    Parameters
    ----------
    model : Module
        Of open_clip: it knows itself which size and which brightness it wants.
    data : ImageSet, Tensor, or pair of Tensors
        Tensors have the shape (n_images, 3, height, width), uint8 from 0 to 255 or float
        from 0 to 1.
    device : torch.device or str, optional
    progress_bar : bool, default=True
    """
    transform = fit_to_model(model_configuration(model))
    return embed(
        _ImageTower(model.visual),
        data,
        layer="",
        transform=transform,
        device=device,
        progress_bar=progress_bar,
    )


@torch.no_grad()
def embed_texts(
    model: nn.Module, tokenizer: Tokenizer, texts: str | Sequence[str]
) -> Tensor:
    """Return what the text tower makes of every text, each of length 1.

    Parameters
    ----------
    model : Module
        Of open_clip.
    tokenizer : callable
        The one that belongs to it.
    texts : str or sequence of str

    Returns
    -------
    Tensor of shape (n_texts, n_features), float32
        On the model's device.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    empty = [number for number, text in enumerate(texts) if not text.strip()]
    if empty or not texts:
        msg = (
            f"texts must be texts that are not empty, got {texts[:3]} ... of {len(texts)}."
        )
        raise SettingsError(msg)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        rows = [
            model.encode_text(tokenizer(texts[start : start + 256]).to(device))
            for start in range(0, len(texts), 256)
        ]
    finally:
        model.train(was_training)
    return F.normalize(torch.cat(rows).float(), dim=1)


def zero_shot_classifier(
    model: nn.Module,
    tokenizer: Tokenizer,
    class_names: Sequence[str],
    *,
    prompts: str | Sequence[str] = "a photo of a {}",
) -> Tensor:
    """Return the weights of a classifier made of names: a column of length 1 a class.

    Images are nearest to the class ``(embeddings @ weights).argmax(dim=1)``; their logits are
    ``model.logit_scale.exp() * embeddings @ weights`` (Radford et al. 2021, sec. 3.1,
    https://arxiv.org/abs/2103.00020).

    Parameters
    ----------
    model : Module
        Of open_clip.
    tokenizer : callable
        The one that belongs to it.
    class_names : sequence of str
    prompts : str or sequence of str, default="a photo of a {}"
        The name of a class stands in place of ``{}``. Of several, the embeddings are
        averaged.

    Returns
    -------
    Tensor of shape (n_features, n_classes), float32
        The weights of ``open_clip.build_zero_shot_classifier``.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    for prompt in prompts:
        if "{}" not in prompt:
            msg = (
                "A prompt must have {} where the name of the class belongs, as in "
                f"'a photo of a {{}}', got {prompt!r}."
            )
            raise SettingsError(msg)
    if isinstance(class_names, str) or len(set(class_names)) < len(class_names):
        msg = f"Every class needs a name of its own, got {class_names!r}."
        raise SettingsError(msg)
    texts = [prompt.replace("{}", name) for name in class_names for prompt in prompts]
    rows = embed_texts(model, tokenizer, texts).view(len(class_names), len(prompts), -1)
    return F.normalize(rows.mean(dim=1), dim=1).T.contiguous()
