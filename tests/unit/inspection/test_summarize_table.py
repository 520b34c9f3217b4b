"""The table of a summary: its rows, its laws, and the fields that its maps see."""

import pandas as pd
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from coursekit.errors import SettingsError
from coursekit.inspection import receptive_field, summarize

COLUMNS = [
    "name",
    "type",
    "call",
    "depth",
    "output_shape",
    "parameters",
    "trainable",
    "multiply_adds",
    "saved_bytes",
    "receptive_field",
    "stride",
    "padding",
]
COSTS = ["parameters", "trainable", "multiply_adds", "saved_bytes"]


def on_meta(name, **settings):
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None, **settings)


@pytest.fixture(scope="module")
def alexnet():
    return summarize(on_meta("alexnet"), (3, 224, 224))


def test_a_row_tells_all_of_one_call(alexnet):
    assert alexnet.table.columns.tolist() == COLUMNS
    row = alexnet.table.set_index("name").loc["features.3"].to_dict()
    assert row == {
        "type": "Conv2d",
        "call": 1,
        "depth": 2,
        "output_shape": (1, 192, 27, 27),
        "parameters": 64 * 192 * 25 + 192,
        "trainable": 64 * 192 * 25 + 192,
        "multiply_adds": 64 * 192 * 25 * 27 * 27,
        "saved_bytes": 4 * 64 * 27 * 27,
        "receptive_field": (51, 51),
        "stride": (8, 8),
        "padding": (18, 18),
    }


def test_rows_stand_in_the_order_of_the_calls_parents_first(alexnet):
    names = alexnet.table["name"].tolist()
    assert names[:3] == ["(model)", "features", "features.0"]
    assert names[-1] == "classifier.6"
    assert alexnet.table["depth"].tolist() == [0, 1, *[2] * 13, 1, 1, *[2] * 7]


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "vit_b_16"])
def test_columns_add_up_to_the_totals_at_every_depth(name):
    settings = {"init_weights": False} if name == "googlenet" else {}
    summary = summarize(on_meta(name, **settings).eval(), (3, 224, 224))
    totals = [
        summary.n_parameters,
        summary.n_trainable,
        summary.multiply_adds,
        summary.saved_bytes,
    ]
    for depth in range(6):
        cut = summary.at_depth(depth)
        assert cut[COSTS].sum().tolist() == totals
        assert cut["depth"].max() <= depth
    assert len(summary.at_depth(0)) == 1
    pd.testing.assert_frame_equal(summary.at_depth(99), summary.table)


def test_a_cut_puts_the_cost_of_children_on_their_parent(alexnet):
    cut = alexnet.at_depth(1).set_index("name")
    assert cut.index.tolist() == ["(model)", "features", "avgpool", "classifier"]
    assert cut.loc["features", "parameters"] == 2_469_696
    assert cut.loc["classifier", "parameters"] == 58_631_144


def test_parts_that_are_not_called_have_a_row_and_their_parameters():
    with torch.device("meta"):
        layer = nn.MultiheadAttention(64, 4)
    summary = summarize(layer, example=(torch.rand(7, 2, 64, device="meta"),) * 3)
    row = summary.table.iloc[1]
    names = summarize(on_meta("vit_b_16"), (3, 224, 224)).table["name"].tolist()
    place = names.index("encoder.layers.encoder_layer_3.self_attention.out_proj")
    assert names[place - 1] == "encoder.layers.encoder_layer_3.self_attention"
    assert (row["name"], row["call"], row["output_shape"]) == ("out_proj", 0, None)
    assert row["parameters"] == 64 * 64 + 64
    assert summary.n_used == summary.n_parameters == 16_640  # read by its parent


@pytest.mark.parametrize(
    "name",
    ["resnet50", "googlenet", "densenet121", "mobilenet_v2", "convnext_tiny"],
)
def test_fields_are_those_of_the_traced_graph(name):
    settings = {"init_weights": False} if name == "googlenet" else {}
    model = on_meta(name, **settings).eval()
    table = summarize(model, (3, 224, 224)).table
    seen = table[table["call"] > 0].drop_duplicates("name").set_index("name")
    traced = receptive_field(model, input_size=(224, 224)).layers
    n_compared = 0
    for layer in traced:
        if layer.name in seen.index and (seen["call"] == 1).loc[layer.name]:
            row = seen.loc[layer.name]
            size = "whole image" if layer.size is None else layer.size
            if layer.kind == "ReLU" and name in {"resnet50", "densenet121"}:
                continue  # one module called several times: the graph keeps each
            assert row["receptive_field"] == size, layer.name
            if layer.size is not None:
                assert row["stride"] == layer.stride
                assert row["padding"] == tuple(-start for start in layer.start)
            n_compared += 1
    assert n_compared > 15


def test_fields_are_followed_where_a_graph_cannot_be_traced():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            x = self.first(x)
            if x.shape[-1] > 4 and float(x.detach().sum()) > -1e9:  # a value decides
                x = x + functional.relu(self.second(x))
            x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 2)
            return x[:, :, 1:]

    model = Branching()
    with pytest.raises(SettingsError, match="cannot be traced"):
        receptive_field(model)
    row = summarize(model, (3, 32, 32)).table.iloc[0]
    assert (row["receptive_field"], row["stride"], row["padding"]) == (
        (9, 9),
        (4, 4),
        (5 - 4, 5),
    )


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ((nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), "whole image"),
        ((nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)), "whole image"),
        ((nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), "whole image"),
        ((nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(3)), (4, 4)),
        ((nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2)), None),
        ((nn.Conv2d(3, 4, 3), nn.Unflatten(1, (2, 2))), (3, 3)),
        ((nn.Conv2d(3, 4, 3), nn.ChannelShuffle(2), nn.Conv2d(4, 4, 2)), (4, 4)),
    ],
)
def test_fields_say_the_whole_image_or_that_they_are_not_known(layers, field):
    table = summarize(nn.Sequential(*layers), (3, 8, 8)).table
    found = table["receptive_field"].iloc[-1]
    assert found == field
    assert table["receptive_field"].iloc[1] == (3, 3)


class Windows(nn.Module):
    """Split the axes into windows, then mix within them: what it sees cannot be told."""

    def forward(self, x):
        x = x.reshape(*x.shape[:2], 2, 3, 2, 3)
        return functional.layer_norm(x, (3,)).reshape(*x.shape[:2], 6, 6)


class Paste(nn.Module):
    """Write shifted pixels into a copy."""

    def forward(self, x):
        copy = x.clone()
        copy[:, :, 1:] = x[:, :, :-1]
        return copy


@pytest.mark.parametrize("layer", [Windows(), Paste()])
def test_a_field_that_cannot_be_told_is_not_guessed(layer):
    table = summarize(nn.Sequential(nn.Conv2d(3, 4, 3), layer), (3, 8, 8)).table
    assert table["receptive_field"].iloc[1] == (3, 3)
    assert table["receptive_field"].iloc[2] is None


def test_a_token_of_a_transformer_sees_its_patch_until_attention_mixes_them():
    table = summarize(on_meta("vit_b_16"), (3, 224, 224)).table.set_index("name")
    first = "encoder.layers.encoder_layer_0"
    assert table.loc["conv_proj", "receptive_field"] == (16, 16)
    assert table.loc[f"{first}.ln_1", "receptive_field"] == (16, 16)
    assert table.loc[f"{first}.self_attention", "receptive_field"] == "whole image"
    assert table.loc["(model)", "receptive_field"] == "whole image"


def test_inputs_without_positions_have_no_field():
    table = summarize(nn.Sequential(nn.Linear(4, 4)), (4,)).table
    assert table["receptive_field"].isna().all()


def test_text_and_page_tell_the_totals(alexnet):
    assert repr(alexnet) == (
        "ModelSummary(AlexNet: 61,100,840 parameters, 714,188,480 multiply-adds, "
        f"{alexnet.saved_bytes:,} saved bytes)"
    )
    assert "AlexNet on 1 x 3 x 224 x 224" in str(alexnet)
    page = alexnet._repr_html_()
    for words in ("features.0", "1 x 64 x 55 x 55", "61,100,840", "51 x 51", "whole image"):
        assert words in page
    assert page.count("<tr>") == len(alexnet.table) + 2


def test_the_page_marks_second_calls_and_what_was_not_called_and_escapes_names():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    Twice.__name__ = "<Twice>"
    summary = summarize(Twice(), (4,))
    page = summary._repr_html_()
    assert "layer (call 2)" in page
    assert "not called" in page
    assert "&lt;Twice&gt;" in page
    assert "<Twice>" not in page
    assert "not used" in str(summary)
