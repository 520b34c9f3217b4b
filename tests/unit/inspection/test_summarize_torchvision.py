"""Parameters and multiply-adds of every torchvision classifier, against its own table."""

import time

import pytest
import torch
import torchvision
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model_builder, get_model_weights, list_models

from coursekit.inspection import summarize

NAMES = list_models(module=torchvision.models)
WITH_HEADS = {"googlenet": False, "inception_v3": True}  # as their tables count them


class NoFirstWeights(TorchFunctionMode):
    """Leaves out the drawing of first weights, which takes longer than all the rest."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func.__name__ == "normal_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build(name, **settings):
    """Build under the meta device; RegNets cannot be, because they compute with tensors."""
    device = "cpu" if name.startswith("regnet") else "meta"
    if name in WITH_HEADS:
        settings |= {"aux_logits": WITH_HEADS[name], "init_weights": False}
        settings |= {"transform_input": True}
    with NoFirstWeights(), torch.device(device):
        return get_model_builder(name)(weights=None, **settings).eval()


def tables_of(name):
    """Return what is published: one crop, with its parameters and operations, once each."""
    entries = get_model_weights(name)
    found = {(w.transforms().crop_size[0], w.meta["num_params"]): w.meta for w in entries}
    return [(crop, meta) for (crop, _), meta in found.items()]


def test_the_table_is_whole():
    assert len(NAMES) >= 80


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_a_classifier_are_those_of_its_table(name):
    for crop, meta in tables_of(name):
        size = {"image_size": crop} if name.startswith("vit") else {}
        summary = summarize(build(name, **size), (3, crop, crop), device="meta")
        assert summary.n_parameters == meta["num_params"]
        giga = summary.multiply_adds / 1e9
        assert abs(giga - meta["_ops"]) <= max(0.001 * meta["_ops"], 0.0006)
        assert summary.table["parameters"].sum() == summary.n_parameters
        assert summary.table["multiply_adds"].sum() == summary.multiply_adds


def test_auxiliary_heads_are_parameters_but_not_used_in_evaluation_mode():
    with torch.device("meta"):
        model = torchvision.models.googlenet(weights=None, init_weights=False)
    training, evaluation = (
        summarize(model.train(mode), (3, 224, 224), batch_size=2) for mode in (True, False)
    )
    assert training.n_parameters == evaluation.n_parameters == 13_004_888
    assert (training.n_used, evaluation.n_used) == (13_004_888, 6_624_904)
    idle = evaluation.table[evaluation.table["call"] == 0]
    assert idle["name"].tolist() == ["aux1", "aux2"]
    assert idle["parameters"].sum() == 13_004_888 - 6_624_904


@pytest.mark.parametrize(("name", "crop"), [("regnet_y_128gf", 384), ("vit_h_14", 224)])
def test_the_largest_models_need_neither_time_nor_memory(name, crop, capsys):
    model = build(name).to("meta")
    begin = time.process_time()
    summary = summarize(model, (3, crop, crop), device="meta")
    seconds = time.process_time() - begin
    with capsys.disabled():
        print(f"\n{name}: {seconds:.2f} s of one thread", end=" ")
    assert summary.n_parameters > 630_000_000
    assert seconds < 5, "shown, and judged only far above what a quiet machine needs"
