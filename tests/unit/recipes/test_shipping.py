"""Shipped files: half precision, the same bytes for the same weights, a card that is true."""

import hashlib
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from coursekit.errors import SettingsError
from coursekit.recipes.backbone import MAX_BYTES, write_shipped
from coursekit.training import History


@pytest.fixture
def history():
    return History()


@pytest.fixture
def write(tmp_path, history):
    def write(state, folder="out", **changes):
        settings = {
            "name": "net.world",
            "about": {"Seed": "7"},
            "accuracies": {"shape": 0.9234},
            "history": history,
            **changes,
        }
        return write_shipped(state, tmp_path / folder, **settings)

    return write


def make_state():
    generator = torch.Generator().manual_seed(0)
    return {
        "fc.weight": torch.randn(3, 4, generator=generator),
        "bn.num_batches_tracked": torch.tensor(70_001),
        "bn.weight": torch.randn(4, generator=generator).requires_grad_(),
    }


def test_floats_are_halved_and_whole_numbers_kept(write):
    state = make_state()
    stored = load_file(write(state).weights)
    assert stored["bn.num_batches_tracked"] == 70_001
    assert stored["fc.weight"].dtype == torch.float16
    torch.testing.assert_close(
        stored["fc.weight"].float(), state["fc.weight"], rtol=1e-3, atol=0
    )


def test_the_same_weights_give_the_same_bytes_in_any_order_and_folder(write):
    state = make_state()
    turned = dict(reversed(state.items()))
    strided = {key: value.detach().t().contiguous().t() for key, value in state.items()}
    hashes = {
        write(weights, folder, accuracies={"shape": reached}).sha256
        for weights, folder, reached in (
            (state, "a", 0.1),
            (turned, "b/c", 0.2),
            (strided, "a", 0.3),
        )
    }
    assert len(hashes) == 1
    state["fc.weight"] = state["fc.weight"] + 0.01
    assert write(state, "d").sha256 not in hashes


def test_the_card_tells_the_hash_the_size_and_what_was_reached(write):
    made = write(make_state())
    digest = hashlib.sha256(made.weights.read_bytes()).hexdigest()
    card = made.card.read_text(encoding="utf-8")
    assert made.sha256 == digest
    assert f"| SHA-256 | `{digest}` |" in card
    assert f"| Size | {made.weights.stat().st_size:,} bytes" in card
    assert "| Accuracy on fresh pictures | shape 92.3 % |" in card
    assert "| Seed | 7 |" in card
    assert re.search(r"\| Date \| \d{4}-\d\d-\d\d \|", card)
    for package in ("Python 3", "torch 2", "timm 1"):
        assert package in card


def test_no_date_or_version_is_in_the_weights(write):
    with safe_open(write(make_state()).weights, "pt") as stream:
        assert not stream.metadata()


def test_nothing_unfinished_stays_and_old_files_are_replaced(write, tmp_path):
    write(make_state())
    again = write({"fc.weight": torch.ones(2)})
    assert list(load_file(again.weights)) == ["fc.weight"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "net.world.log.csv",
        "net.world.md",
        "net.world.safetensors",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_what_is_not_finite_in_half_precision_is_refused(write, tmp_path, value):
    with pytest.raises(SettingsError, match=r"finite in half precision, but fc\.weight"):
        write({"fc.weight": torch.tensor([1.0, value])})
    assert not (tmp_path / "out").exists()


def test_files_that_are_too_large_are_refused_before_they_are_written(write, tmp_path):
    with pytest.raises(SettingsError, match=r"at most 2 MB, these weights take 2\.20 MB"):
        write({"fc.weight": torch.zeros(1_100_000)})
    assert not (tmp_path / "out").exists()
    made = write({"fc.weight": torch.zeros(MAX_BYTES // 2 - 1000)})
    assert made.n_bytes <= MAX_BYTES
