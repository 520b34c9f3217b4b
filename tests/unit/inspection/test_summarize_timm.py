"""Six timm models, against the sum of their parameters and torch's own counter."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from coursekit.inspection import summarize

timm = pytest.importorskip("timm")

SIX = [
    "efficientnet_lite0",
    "resnet26d",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "mobilenetv3_small_100",
    "swin_tiny_patch4_window7_224",
]


@pytest.mark.parametrize("name", SIX)
def test_numbers_of_a_timm_model_are_right(name):
    model = timm.create_model(name, pretrained=False).eval()
    images = torch.rand(1, 3, 224, 224)
    # Fused attention is not in the counter's table in every version of torch.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(images)
    summary = summarize(model, example=images, device="meta")
    assert summary.n_parameters == sum(
        parameter.numel() for parameter in model.parameters()
    )
    assert summary.multiply_adds == counter.get_total_flops() // 2
    assert summary.table["parameters"].sum() == summary.n_parameters
