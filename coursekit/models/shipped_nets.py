"""The networks that the course ships trained, known to timm by name.

Nothing here knows what they were trained on; `coursekit.recipes` does, and the card beside the
weights says it.
"""

from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from coursekit.assets import data_folder
from coursekit.models.small_resnet import SmallResNet

__all__ = ["coursekit_resnet8"]

WEIGHTS = "weights/coursekit_resnet8.shapes.safetensors"

default_cfgs = generate_default_cfgs(
    {
        "coursekit_resnet8.shapes": {
            "file": str(data_folder() / WEIGHTS),
            "num_classes": 18,
            "input_size": (3, 32, 32),
            "pool_size": (2, 2),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.25, 0.25, 0.25),
            "first_conv": "stem.conv",
            "classifier": "fc",
            "license": "cc-by-4.0",
        },
    }
)


@register_model
def coursekit_resnet8(pretrained: bool = False, **kwargs: Any) -> SmallResNet:
    """Return the course's small residual net, as ``timm.create_model`` calls it.

    Parameters
    ----------
    pretrained : bool, default=False
        Whether it gets the weights that the course ships.
    **kwargs
        What `SmallResNet` takes, and timm's ``features_only``, ``out_indices``,
        ``pretrained_cfg`` and ``pretrained_cfg_overlay``.

    Returns
    -------
    SmallResNet
        Eight layers deep: a convolution, three blocks of two, and the head.

    Examples
    --------
    >>> import timm
    >>> timm.create_model("coursekit_resnet8", num_classes=10).get_classifier()
    Linear(in_features=112, out_features=10, bias=True)
    """
    return build_model_with_cfg(
        SmallResNet,
        "coursekit_resnet8",
        pretrained,
        pretrained_filter_fn=_to_full_precision,
        feature_cfg={"out_indices": (0, 1, 2, 3), "flatten_sequential": True},
        **kwargs,
    )


def _to_full_precision(state: Mapping[str, Tensor], _: nn.Module) -> dict[str, Tensor]:
    """Return what a file holds in half precision, so that adapting it rounds nothing."""
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }
