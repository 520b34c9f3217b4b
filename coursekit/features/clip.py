"""Embed images and texts by a model of open_clip, and classify images by names alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.datasets import ImageSet
from coursekit.errors import SettingsError
from coursekit.features.embed import Embeddings, embed
from coursekit.models.clip import model_configuration
from coursekit.transforms import fit_to_model

Tokenizer = Callable[[list[str]], Tensor]


def embed_images(
    model: nn.Module, data: ImageSet | Tensor, *, progress_bar: bool = True
) -> Embeddings:
    """Return what the image tower makes of every image, each of length 1.

    The rows are ``model.encode_image(images, normalize=True)``. (`embed` alone stops before
    the last layer, which leads into the space that images and texts share.)

    Parameters
    ----------
    model : Module
        Of open_clip: it knows itself which size and which brightness it wants.
    data : ImageSet or Tensor
        Tensors have the shape (n_images, 3, height, width), uint8 from 0 to 255 or float
        from 0 to 1.
    progress_bar : bool, default=True
    """
    fit = fit_to_model(model_configuration(model))
    found = embed(model.visual, data, layer="", transform=fit, progress_bar=progress_bar)
    return replace(found, embeddings=F.normalize(found.embeddings, dim=1))


@torch.no_grad()
def embed_texts(model: nn.Module, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Return what the text tower makes of every text, each of length 1.

    `tokenizer` is the one that belongs to the model. The rows, float32 of shape (n_texts,
    n_features), lie on the model's device.
    """
    device = next(model.parameters()).device
    rows = [
        model.encode_text(tokenizer(list(texts[start : start + 256])).to(device))
        for start in range(0, len(texts), 256)
    ]
    return F.normalize(torch.cat(rows).float(), dim=1)


def zero_shot_classifier(
    model: nn.Module,
    tokenizer: Tokenizer,
    class_names: Sequence[str],
    *,
    prompts: str | Sequence[str],
) -> Tensor:
    """Return the weights of a classifier made of names: a column of length 1 a class.

    Images are nearest to the class ``(embeddings @ weights).argmax(dim=1)``; their logits are
    ``model.logit_scale.exp() * embeddings @ weights`` (Radford et al. 2021, sec. 3.1,
    https://arxiv.org/abs/2103.00020).

    In a prompt such as ``"a photo of a {}"`` the name of a class stands in place of ``{}``. Of
    several prompts the embeddings are averaged: the weights are those of
    ``open_clip.build_zero_shot_classifier``, of shape (n_features, n_classes).
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not all("{}" in prompt for prompt in prompts):
        msg = "A prompt must have {} for the name of the class: 'a photo of a {}'."
        raise SettingsError(msg)
    texts = [prompt.replace("{}", name) for name in class_names for prompt in prompts]
    rows = embed_texts(model, tokenizer, texts).view(len(class_names), len(prompts), -1)
    return F.normalize(rows.mean(dim=1), dim=1).T.contiguous()
