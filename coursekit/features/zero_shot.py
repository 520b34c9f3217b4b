"""A classifier made of names alone: its weights are embeddings of texts.

Nothing here knows of images.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.errors import SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings
from coursekit.features.image_text import check_texts, embed_texts

__all__ = ["ZeroShotClassifier", "zero_shot_classifier"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroShotClassifier:
    """Classes as directions in the space that images and texts share.

    Parameters
    ----------
    weights : Tensor of shape (n_features, n_classes), float32
        A column a class, of length 1.
    class_names : tuple of str
    prompts : tuple of str
        What was said of each class, ``{}`` being its name.
    scale : float
        The inverse of the temperature that the model was trained to.
    """

    weights: Tensor
    class_names: tuple[str, ...]
    prompts: tuple[str, ...]
    scale: float

    def logits(self, images: Embeddings | Tensor) -> Tensor:
        """Return the cosine of each image and each class, times the scale.

        Parameters
        ----------
        images : Embeddings or Tensor of shape (n_images, n_features)
            Of any length: they are brought to length 1.

        Returns
        -------
        Tensor of shape (n_images, n_classes)

        Raises
        ------
        ShapeError
            If they have another number of features.
        """
        features = images.embeddings if isinstance(images, Embeddings) else images
        if features.ndim != 2 or features.shape[1] != len(self.weights):
            msg = (
                f"images must have shape (n_images, {len(self.weights)}), as the model that "
                f"made the classifier embeds them, got {tuple(features.shape)}."
            )
            raise ShapeError(msg)
        features = F.normalize(features.to(self.weights), dim=1)
        return self.scale * features @ self.weights

    def probabilities(self, images: Embeddings | Tensor) -> Tensor:
        """Return how likely each image is of each class.

        Parameters
        ----------
        images : Embeddings or Tensor of shape (n_images, n_features)

        Returns
        -------
        Tensor of shape (n_images, n_classes)
            Each row sums to 1.
        """
        return self.logits(images).softmax(dim=1)

    def predict(self, images: Embeddings | Tensor) -> Tensor:
        """Return the likeliest class of each image.

        Parameters
        ----------
        images : Embeddings or Tensor of shape (n_images, n_features)

        Returns
        -------
        Tensor of shape (n_images,), int64
        """
        return self.logits(images).argmax(dim=1)


@torch.no_grad()
def zero_shot_classifier(
    model: nn.Module,
    tokenizer: Callable[[list[str]], Tensor],
    class_names: Sequence[str],
    *,
    prompts: str | Sequence[str] = "a photo of a {}",
) -> ZeroShotClassifier:
    """Return a classifier for classes of which no more is known than their names.

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
    ZeroShotClassifier
        Its weights are those of ``open_clip.build_zero_shot_classifier``.

    Raises
    ------
    SettingsError
        If there is no class or no prompt, a name is there twice, or a prompt has no ``{}``.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021, sec. 3.1. https://arxiv.org/abs/2103.00020
    """
    names = _check_names(class_names)
    prompts = _check_prompts(prompts)
    texts = [prompt.replace("{}", name) for name in names for prompt in prompts]
    rows = embed_texts(model, tokenizer, texts).view(len(names), len(prompts), -1)
    return ZeroShotClassifier(
        weights=F.normalize(rows.mean(dim=1), dim=1).T.contiguous(),
        class_names=names,
        prompts=prompts,
        scale=float(model.logit_scale.exp()),
    )


def _check_names(class_names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(class_names, str):
        msg = f"class_names must be several texts, got one: {class_names!r}."
        raise SettingsError(msg)
    names = tuple(check_texts(class_names, "class_names"))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = (
            f"Every class needs a name of its own, but {twice[0]!r} stands for "
            f"{names.count(twice[0])} of {len(names)}. Say what tells them apart: "
            "'crane, the bird', 'crane, the machine'."
        )
        raise SettingsError(msg)
    return names


def _check_prompts(prompts: str | Sequence[str]) -> tuple[str, ...]:
    prompts = (prompts,) if isinstance(prompts, str) else prompts
    checked = tuple(check_texts(prompts, "prompts"))
    for prompt in checked:
        if "{}" not in prompt:
            msg = (
                "A prompt must have {} where the name of the class belongs, as in "
                f"'a photo of a {{}}', got {prompt!r}."
            )
            raise SettingsError(msg)
    return checked
