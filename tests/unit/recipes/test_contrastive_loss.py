"""contrastive_loss against open_clip's, against finite differences, and when misused."""

import pytest
import torch
from open_clip.loss import ClipLoss
from torch.nn import functional as F

from coursekit.recipes.clip import contrastive_loss


@pytest.fixture(params=range(4), ids=lambda seed: f"seed{seed}")
def features(request):
    """(12 images, 12 texts) of 8 features, of length 1, in double precision."""
    generator = torch.Generator().manual_seed(request.param)
    return F.normalize(torch.randn(2, 12, 8, generator=generator).double(), dim=2)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_it_is_the_symmetric_cross_entropy_of_the_library(features, scale):
    images, texts = features
    expected = ClipLoss()(images, texts, scale)
    assert contrastive_loss(images, texts, scale=scale).item() == pytest.approx(
        expected.item(), abs=1e-6
    )


def test_images_and_texts_may_change_places(features):
    images, texts = features
    torch.testing.assert_close(
        contrastive_loss(images, texts, scale=5.0),
        contrastive_loss(texts, images, scale=5.0),
    )


def test_the_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    ignore = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)

    def loss(images, texts, scale):
        return contrastive_loss(images, texts, scale=scale, ignore=ignore)

    images, texts = images.requires_grad_(), texts.requires_grad_()
    assert torch.autograd.gradcheck(loss, (images, texts, scale))


def test_an_ignored_pair_is_as_if_it_were_not_there(features):
    """A slow and obvious loop: log of the own share among those that count."""
    images, texts = features
    generator = torch.Generator().manual_seed(9)
    ignore = torch.rand(12, 12, generator=generator) < 0.4
    logits = 7.0 * images @ texts.T
    total = torch.zeros((), dtype=torch.float64)
    for own in range(12):
        row = [j for j in range(12) if j == own or not ignore[own, j]]
        column = [i for i in range(12) if i == own or not ignore[i, own]]
        total += torch.logsumexp(logits[own, row], 0) - logits[own, own]
        total += torch.logsumexp(logits[column, own], 0) - logits[own, own]
    torch.testing.assert_close(
        contrastive_loss(images, texts, scale=7.0, ignore=ignore), total / 24
    )


def test_where_all_others_are_ignored_nothing_is_left_to_learn(features):
    images, texts = (part.clone().requires_grad_() for part in features)
    everything = torch.ones(12, 12, dtype=torch.bool)
    loss = contrastive_loss(images, texts, scale=3.0, ignore=everything)
    loss.backward()
    assert loss.item() == 0
    assert not images.grad.any()
