"""Saved bytes while they are saved: counted, followed until freed, and nothing else changed."""

import gc
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from coursekit.inspection.live_saved import LiveSavedBytes

KIB = 1024


def leaf(n_kib=1):
    return torch.ones(n_kib * KIB // 4, requires_grad=True)


def test_bytes_are_followed_until_they_are_freed():
    with LiveSavedBytes() as saved:
        assert saved.read() == (0, 0)
        values = leaf().exp()
        assert saved.read() == (KIB, KIB)
        loss = values.exp().sum()
        del values
        assert saved.read() == (2 * KIB, 2 * KIB)
        loss.backward()
        assert saved.read() == (0, 2 * KIB)
        assert saved.read() == (0, 0)


def test_a_graph_that_is_dropped_frees_its_bytes():
    with LiveSavedBytes() as saved:
        loss = leaf().exp().sum()
        del loss
        gc.collect()
        assert saved.read() == (0, KIB)


def test_bytes_are_followed_after_the_end():
    with LiveSavedBytes() as saved:
        loss = leaf().exp().sum()
    assert saved.read()[0] == KIB
    loss.backward()
    assert saved.read()[0] == 0


def test_memory_saved_twice_counts_once_and_a_view_counts_as_its_whole():
    with LiveSavedBytes() as saved:
        values = leaf(4).exp()
        kept = [values.sin(), values[:10].cos(), values.square()]
        assert saved.read()[0] == 4 * KIB
        del kept


def test_parameters_do_not_count_and_the_input_does():
    layer = nn.Linear(256, 256)
    with LiveSavedBytes() as saved:
        output = layer(torch.ones(2, 256)).sigmoid()
        assert saved.read()[0] == 2 * 2 * 256 * 4
        del output


def test_without_gradients_nothing_is_saved():
    with LiveSavedBytes() as saved, torch.no_grad():
        leaf().exp()
        assert saved.read() == (0, 0)


def test_two_backward_passes_through_one_graph_work():
    start = leaf()
    with LiveSavedBytes() as saved:
        loss = start.exp().sum()
        loss.backward(retain_graph=True)
        assert saved.read()[0] == KIB
        loss.backward()
        assert saved.read()[0] == 0
    assert torch.allclose(start.grad, 2 * start.detach().exp())


def test_second_derivatives_work():
    start = torch.tensor(0.5, requires_grad=True)
    with LiveSavedBytes():
        (first,) = torch.autograd.grad(start.sin(), start, create_graph=True)
        (second,) = torch.autograd.grad(first, start)
    assert second.item() == pytest.approx(-torch.tensor(0.5).sin().item())


@pytest.mark.parametrize("counted", [False, True])
def test_a_value_that_was_overwritten_is_still_an_error(counted):
    def run():
        values = leaf().exp()
        loss = values.sin().sum()
        values.mul_(2)
        loss.backward()

    with (
        LiveSavedBytes() if counted else nullcontext(),
        pytest.raises(RuntimeError, match="modified by an inplace operation"),
    ):
        run()


def test_allowed_writing_in_place_is_still_allowed():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten()
    )
    images = torch.randn(4, 1, 6, 6)
    model(images).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with LiveSavedBytes():
        (
            model(images).sum() + 0 * model(images).sum()
        ).backward()  # two passes, one backward
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_a_counter_inside_a_counter_leaves_the_outer_one_counting():
    with LiveSavedBytes() as outer:
        with LiveSavedBytes() as inner:
            loss = leaf().exp().sum()
            assert inner.read()[0] == outer.read()[0] == KIB
        loss.backward()
        assert inner.read()[0] == outer.read()[0] == 0


def test_hooks_that_were_active_before_stay_so():
    with save_on_cpu():
        values = leaf()
        with LiveSavedBytes() as saved:
            loss = values.exp().sum()
            del saved
        loss.backward()
    assert torch.allclose(values.grad, values.detach().exp())


def test_checkpointed_activations_are_not_saved():
    layers = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
    images = torch.ones(4, 64, requires_grad=True)
    found = {}
    for name in ("all", "checkpointed"):
        with LiveSavedBytes() as saved:
            if name == "all":
                loss = layers(images).sum()
            else:
                loss = checkpoint(layers, images, use_reentrant=False).sum()
            found[name] = saved.read()[0]
            loss.backward()
            assert saved.read()[0] == 0
    assert found["checkpointed"] < found["all"] / 2


def test_hooks_are_gone_after_an_error():
    saved = LiveSavedBytes()
    with pytest.raises(ZeroDivisionError), saved:
        raise ZeroDivisionError
    loss = leaf().exp().sum()
    assert saved.read()[0] == 0
    loss.backward()


def test_sparse_tensors_are_let_through():
    with LiveSavedBytes() as saved:
        matrix = torch.eye(8).to_sparse()
        vector = torch.ones(8, 1, requires_grad=True)
        torch.sparse.mm(matrix, vector.exp()).sum().backward()
    assert saved.read()[0] == 0
