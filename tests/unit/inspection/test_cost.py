"""What networks cost: torchvision's table, autograd's own account, and hand values."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import get_model_builder, get_model_weights

from coursekit.errors import ShapeError
from coursekit.inspection import (
    count_parameters,
    measure_saved_bytes,
    receptive_field,
    record_activations,
    summarize,
)

# One or two of each family.
NAMES = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s",
    "googlenet", "inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large",
    "regnet_x_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0",
    "squeezenet1_1", "swin_t", "swin_v2_t", "vgg16", "vit_b_16",
]  # fmt: skip
WITH_HEADS = {"googlenet": False, "inception_v3": True}  # as their tables count them


def build(name, **settings):
    """Build without memory; RegNets cannot be, because they compute with tensors."""
    if name in WITH_HEADS:
        usual = {"aux_logits": WITH_HEADS[name], "init_weights": False}
        settings = usual | {"transform_input": True} | settings
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return get_model_builder(name)(weights=None, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_a_classifier_are_those_of_torchvisions_table(name):
    weights = next(iter(get_model_weights(name)))
    crop, meta = weights.transforms().crop_size[0], weights.meta
    summary = summarize(build(name).eval(), (3, crop, crop))
    giga = summary.multiply_adds / 1e9
    assert abs(giga - meta["_ops"]) <= max(0.001 * meta["_ops"], 0.0006)
    assert summary.n_parameters == meta["num_params"]


# -- multiply-adds by hand ---------------------------------------------------------------------


class Attention(nn.Linear):
    """6 positions of 8 numbers, 2 heads: fused on a CPU, a kernel that torch once ignored."""

    def forward(self, x):
        parts = super().forward(x).chunk(3, dim=-1)
        heads = [part.unflatten(-1, (2, 4)).transpose(1, 2) for part in parts]
        return functional.scaled_dot_product_attention(*heads)


@pytest.mark.parametrize(
    ("layer", "size", "multiply_adds"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=4), (8, 10, 10), 8 * 100 * 2 * 9),
        (nn.ConvTranspose2d(3, 8, 2, stride=2), (3, 5, 5), 25 * 3 * 8 * 4),
        (nn.LSTM(8, 16, batch_first=True), (5, 8), 5 * 4 * 16 * (8 + 16)),
        (Attention(8, 24, bias=False), (6, 8), 6 * 8 * 24 + 2 * 2 * 6 * 6 * 4),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.MaxPool2d(2)), (3, 8, 8), 0),
    ],
)
def test_multiply_adds_are_those_of_a_hand_count(layer, size, multiply_adds):
    assert summarize(layer.eval(), size).multiply_adds == multiply_adds
    assert summarize(layer, size, batch_size=3).multiply_adds == 3 * multiply_adds


# -- saved bytes -------------------------------------------------------------------------------


def bytes_autograd_saves(model, images):
    """Sum the memory of all that is saved in a real pass, the model's own left out."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    blocks = {}

    def see(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            blocks[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        output = model(images)  # held, so that no memory is freed and used again
    assert output is not None
    return sum(blocks.values())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_16", "densenet121"])
def test_saved_bytes_are_those_that_autograd_saves(name, training):
    size = (3, 224, 224) if name == "vit_b_16" else (3, 64, 64)
    torch.manual_seed(0)
    model = build(name).to_empty(device="cpu").train(training)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.01) if tensor.is_floating_point() else tensor.zero_()
    summary = summarize(model, size, batch_size=2)
    truth = bytes_autograd_saves(model, torch.rand(2, *size))
    assert summary.saved_bytes == pytest.approx(truth, rel=0.001)
    if training:
        assert measure_saved_bytes(model.eval(), size, batch_size=2) == summary.saved_bytes
        assert not model.training


def test_what_is_frozen_saves_nothing_and_half_a_number_the_half():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    model[0].requires_grad_(False)
    with torch.no_grad():  # the mode of the caller does not count
        summary = summarize(model, (3, 8, 8))
    assert summary.saved_bytes == 4 * 8 * 36  # what the linear layer reads
    assert summary.table["trainable"].sum() == 8 * 36 * 5 + 5
    assert summarize(model.bfloat16(), (3, 8, 8)).saved_bytes == 2 * 8 * 36
    assert summarize(model.requires_grad_(False), (3, 8, 8)).saved_bytes == 0


# -- the table ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alexnet():
    return summarize(build("alexnet"), (3, 224, 224))


def test_a_row_tells_all_of_one_call(alexnet):
    assert alexnet.table.set_index("name").loc["features.3"].to_dict() == {
        "type": "Conv2d",
        "output_shape": (1, 192, 27, 27),
        "parameters": 64 * 192 * 25 + 192,
        "trainable": 64 * 192 * 25 + 192,
        "multiply_adds": 64 * 192 * 25 * 27 * 27,
        "saved_bytes": 4 * 64 * 27 * 27,
        "receptive_field": (51, 51),
        "stride": (8, 8),
        "padding": (18, 18),
    }


def test_fields_are_those_of_the_formula_and_then_the_whole_image(alexnet):
    features = build("alexnet").features
    rows = alexnet.table.set_index("name")
    for n in range(1, len(features) + 1):
        row, field = rows.loc[f"features.{n - 1}"], receptive_field(features[:n])
        assert (row["receptive_field"], row["stride"]) == field[:2]
    fields = rows["receptive_field"]
    assert fields["avgpool"] == (195, 195)  # 6 x 6 to 6 x 6
    assert fields["classifier.0"] == (195, 195)  # flat, not yet mixed
    assert fields["classifier.1"] == fields["(model)"] == "whole image"
    assert [*rows.index][:3] == ["(model)", "features", "features.0"]  # parents first


class Join(nn.Module):
    def __init__(self, add):
        super().__init__()
        self.one, self.other = (nn.Conv2d(3, 3, k, padding=k // 2) for k in (1, 5))
        self.last, self.add = nn.ReLU(), add

    def forward(self, x):
        return self.last(self.add(self.one(x), self.other(x)))


@pytest.mark.parametrize("add", [torch.Tensor.add, torch.Tensor.add_])
def test_after_a_join_the_field_is_not_guessed(add):
    rows = summarize(Join(add), (3, 16, 16)).table.set_index("name")
    assert rows.loc["other", "receptive_field"] == (5, 5)
    assert rows.loc["last", "receptive_field"] is None


def test_shared_layers_count_once_and_second_calls_say_so():
    layer = nn.Linear(4, 4)
    summary = summarize(nn.Sequential(layer, layer), (4,))
    assert count_parameters(nn.Sequential(layer, layer)) == summary.n_parameters == 20
    assert summary.table["parameters"].tolist() == [0, 20, 0]
    assert summary.table["name"].tolist() == ["(model)", "0", "0 (call 2)"]
    assert summary.multiply_adds == 32


def test_parts_that_are_not_called_have_a_row_and_their_parameters():
    summary = summarize(build("googlenet", aux_logits=True).eval(), (3, 224, 224))
    assert summary.n_parameters == 13_004_888
    idle = summary.table.query("output_shape == 'not called'")["parameters"].sum()
    assert idle == 13_004_888 - 6_624_904


def test_text_and_page_tell_the_totals(alexnet):
    assert repr(alexnet) == (
        "ModelSummary(AlexNet: 61,100,840 parameters, 714,188,480 multiply-adds, "
        "3,741,184 saved bytes)"
    )
    page = alexnet._repr_html_()
    for words in ('2em">features.0<', "1 x 64 x 55 x 55", "61,100,840", "51 x 51"):
        assert words in page
    assert page.count("<tr") == len(alexnet.table) + 2
    part = summarize(nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 3)), (3,))
    assert "nan" not in part._repr_html_()  # where a field is not known


# -- left as it was, and misuse ----------------------------------------------------------------


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model[1].eval()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with record_activations(model) as recorded:
        assert summarize(model, (3, 8, 8)).multiply_adds == 4 * 36 * 27
        measure_saved_bytes(model, (3, 8, 8))
    assert recorded == {}  # hooks of others are not run
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    assert [module.training for module in model] == [True, False, True]
    assert torch.equal(random, torch.get_rng_state())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        (nn.Conv2d(3, 4, 3), (1, 8, 8), r"'\(model\)' \(Conv2d\) fails.*\(1, 1, 8, 8\)"),
        (nn.Sequential(nn.Linear(3, 4)), (2, 5), r"'0' \(Linear\).*without the batch"),
        (nn.BatchNorm1d(4), (4,), "batch_size=2.*or model.eval"),
    ],
)
def test_an_input_that_cannot_be_read_is_explained_by_layer(model, size, words):
    with pytest.raises(ShapeError, match=words):
        summarize(model, size)
