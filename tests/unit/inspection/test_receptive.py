"""Receptive fields: against brute force, published values, their laws, and when misused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from coursekit.errors import CourseError, SettingsError, ShapeError
from coursekit.inspection import (
    count_parameters,
    measured_receptive_field,
    receptive_field,
)

SIZE = 61


class Branches(nn.Module):
    """Two branches that keep the size, joined by addition or side by side."""

    def __init__(self, left, right, join):
        super().__init__()
        self.left, self.right, self.join = left, right, join

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        return left + right if self.join == "add" else torch.cat([left, right], dim=1)


def pick(generator, *choices):
    return choices[int(torch.randint(len(choices), (1,), generator=generator))]


def same_conv(generator, n_in, n_out):
    kernel = (pick(generator, 1, 3, 5), pick(generator, 1, 3))
    dilation = pick(generator, 1, 2)
    padding = tuple(dilation * (k - 1) // 2 for k in kernel)
    return nn.Conv2d(n_in, n_out, kernel, padding=padding, dilation=dilation)


def random_layer(generator):
    kind = pick(generator, "conv", "conv", "max", "average", "skip", "cat", "pad", "norm")
    if kind == "conv":
        kernel = (pick(generator, 1, 2, 3), pick(generator, 2, 3, 4))
        stride = (pick(generator, 1, 1, 2), pick(generator, 1, 2))
        return nn.Conv2d(2, 2, kernel, stride, padding=pick(generator, 0, 1), groups=2)
    if kind == "max":
        return nn.MaxPool2d(pick(generator, 2, 3), stride=pick(generator, 1, 2), padding=1)
    if kind == "average":
        return nn.AvgPool2d((2, 3), stride=1)
    if kind == "pad":
        return nn.ZeroPad2d((2, 0, 1, 0))
    if kind == "norm":
        return nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    if kind == "skip":
        branch = nn.Sequential(same_conv(generator, 2, 2), nn.ReLU())
        return Branches(branch, nn.Identity(), "add")
    return Branches(same_conv(generator, 2, 1), same_conv(generator, 2, 1), "cat")


def random_model(seed):
    generator = torch.Generator().manual_seed(seed)
    n_layers = int(torch.randint(2, 6, (1,), generator=generator))
    return nn.Sequential(*(random_layer(generator) for _ in range(n_layers)))


def brute_force_box(model, position):
    """Change one row, then one column at a time in a copy with positive weights: the oracle."""
    model = copy.deepcopy(model).double().eval()
    row, column = position
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.abs() + 0.1)
        lines = torch.eye(SIZE, dtype=torch.float64)
        rows = lines[:, None, :, None].expand(SIZE, 2, SIZE, SIZE)
        images = torch.cat([rows, rows.mT, torch.zeros_like(rows[:1])])
        answers = model(images)[:, :, row, column].sum(dim=1)
    changed = answers[:-1] != answers[-1]
    seen = [part.nonzero().flatten().tolist() for part in changed.split(SIZE)]
    (first_row, last_row), (first, last) = [(part[0], part[-1]) for part in seen]
    return first_row, first, last_row - first_row + 1, last - first + 1


@pytest.mark.parametrize("seed", range(50))
def test_computed_and_measured_field_equal_brute_force(seed):
    model = random_model(seed)
    measured = measured_receptive_field(model, (2, SIZE, SIZE), n_samples=1)
    computed = receptive_field(model)
    box = computed.box(*measured.position)
    assert box[0] >= 0
    assert box[0] + box[2] <= SIZE, "the field must fit the image, or this proves nothing"
    assert box == measured.box == brute_force_box(model, measured.position)


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195),  # AlexNet
        (
            [(3, 1), (3, 1), (2, 2)] * 2 + [(3, 1), (3, 1), (3, 1), (2, 2)] * 3,  # VGG-16
            212,
        ),
    ],
    ids=["alexnet", "vgg16"],
)
def test_published_sizes_of_araujo_norris_and_sim(layers, size):
    model = nn.Sequential(*(nn.Conv2d(1, 1, k, s) for k, s in layers))
    assert receptive_field(model).size == (size, size)


@pytest.mark.parametrize("n_layers", [1, 2, 5, 20])
def test_each_3x3_layer_adds_two_pixels(n_layers):
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(n_layers)))
    field = receptive_field(model)
    assert [layer.size for layer in field.layers] == [
        (2 * n + 1, 2 * n + 1) for n in range(1, n_layers + 1)
    ]
    assert field.start == (-n_layers, -n_layers)


def test_a_stride_doubles_what_later_layers_add():
    field = receptive_field(
        nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3))
    )
    assert [layer.size[0] for layer in field.layers] == [3, 4, 8]
    assert field.stride == (2, 2)


def test_order_of_branches_does_not_matter():
    wide, narrow = nn.Conv2d(2, 2, (5, 3), padding=(2, 1)), nn.Conv2d(2, 2, 1)
    one = receptive_field(Branches(wide, narrow, "add"))
    other = receptive_field(Branches(narrow, wide, "cat"))
    assert one.size == other.size == (5, 3)
    assert one.start == other.start == (-2, -1)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3)),
        nn.Sequential(nn.GroupNorm(1, 2), nn.Conv2d(2, 4, 3)),
    ],
    ids=["global pooling", "linear", "group norm"],
)
def test_what_mixes_all_positions_sees_the_whole_image(model):
    computed = receptive_field(model)
    measured = measured_receptive_field(model, (2, 8, 8))
    assert computed.is_whole_image
    assert computed.size is None
    assert str(computed) == "the whole image"
    assert measured.is_whole_image


def test_functions_are_followed_like_modules():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(2, 2, 3, 3))

        def forward(self, x):
            x = functional.pad(x, (1, 1, 1, 1))
            x = functional.relu(functional.conv2d(x, self.weight, stride=2)).contiguous()
            x = functional.max_pool2d(x, 3, stride=1, padding=1)
            return functional.avg_pool2d(x, 2)[:, :1]

    field = receptive_field(Functional())
    assert field.size == (9, 9)
    assert field.stride == (4, 4)
    measured = measured_receptive_field(Functional(), (2, SIZE, SIZE))
    assert field.box(*measured.position) == measured.box


def test_slices_shift_the_field():
    class Crop(nn.Module):
        def forward(self, x):
            return x[:, :, 2:, ::3]

    field = receptive_field(nn.Sequential(Crop(), nn.Conv2d(1, 1, 3)))
    assert field.size == (3, 7)
    assert field.start == (2, 0)
    assert field.stride == (1, 3)


def test_axes_follow_a_permutation():
    class ChannelsLast(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3)
            self.norm = nn.LayerNorm(4)
            self.linear = nn.Linear(4, 5)

        def forward(self, x):
            x = self.linear(self.norm(self.conv(x).permute(0, 2, 3, 1)))
            return x.permute(0, 3, 1, 2)

    assert receptive_field(ChannelsLast()).size == (3, 3)


@pytest.mark.parametrize(
    ("conv", "size"),
    [(nn.Conv1d(1, 1, 5, dilation=2), (9,)), (nn.Conv3d(1, 1, (1, 3, 5)), (1, 3, 5))],
)
def test_other_numbers_of_axes(conv, size):
    assert receptive_field(conv).size == size


def test_adaptive_pooling_is_exact_when_the_size_is_known():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(4))
    assert receptive_field(model).is_whole_image
    assert receptive_field(model, input_size=(16, 24)).size == (6, 8)


def test_same_and_valid_padding_are_understood():
    same = receptive_field(nn.Conv2d(1, 1, 5, padding="same"))
    valid = receptive_field(nn.Conv2d(1, 1, 5, padding="valid"))
    assert (same.start, valid.start) == ((-2, -2), (0, 0))


def test_the_table_has_one_row_a_layer():
    frame = receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())).to_frame()
    assert frame["kind"].tolist() == ["Conv2d", "ReLU"]
    assert frame["size"].tolist() == [(3, 3), (3, 3)]


def test_effective_field_is_smaller_and_grows_with_depth():
    sizes = []
    for n_layers in (4, 16):
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(n_layers))
        )
        for layer in model:
            nn.init.constant_(layer.weight, 1 / 9)
        measured = measured_receptive_field(model, (1, 41, 41))
        assert measured.effective_size < measured.size[0]
        # n box filters of 3 have the variance 2/3 n: the law of Luo et al., sec. 2
        assert measured.deviation[0] == pytest.approx((2 / 3 * n_layers) ** 0.5, rel=1e-4)
        sizes.append(measured.effective_size)
    assert 1.7 < sizes[1] / sizes[0] < 2.3  # four times as deep, twice as wide


def test_dead_units_do_not_shrink_the_box():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5))
    nn.init.constant_(model[0].weight, -1.0)
    nn.init.constant_(model[0].bias, -100.0)
    measured = measured_receptive_field(model, (1, 12, 12))
    assert measured.sensitivity.sum() == 0
    assert measured.size == (4, 4)


def state_of(model):
    return (
        [(name, value.clone()) for name, value in model.state_dict().items()],
        [module.training for module in model.modules()],
        [parameter.grad for parameter in model.parameters()],
        [parameter.requires_grad for parameter in model.parameters()],
        [len(module._forward_hooks) for module in model.modules()],
    )


@pytest.mark.parametrize(
    "function", [receptive_field, lambda m: measured_receptive_field(m, (2, 20, 20))]
)
def test_the_model_and_the_random_state_are_left_as_they_were(function):
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    model[0].requires_grad_(False)
    calls = []
    model[1].register_forward_hook(lambda *_: calls.append(1))
    before, random_before = state_of(model), torch.get_rng_state()
    function(model)
    after = state_of(model)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]
    assert torch.equal(random_before, torch.get_rng_state())
    assert calls == []


def test_the_same_seed_measures_the_same():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))
    one, same, other = (
        measured_receptive_field(model, (1, 9, 9), seed=seed).sensitivity
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_measured_at_a_corner_the_box_is_cut_by_the_image():
    model = nn.Conv2d(1, 1, 5, padding=2)
    measured = measured_receptive_field(model, (1, 9, 9), position=(0, 0))
    assert measured.box == (0, 0, 3, 3)
    assert receptive_field(model).box(0, 0) == (-2, -2, 5, 5)


def test_untraceable_models_are_refused_with_the_way_out():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(SettingsError, match=r"cannot be traced.*measured_receptive_field"):
        receptive_field(Branching())
    assert measured_receptive_field(Branching(), (1, 5, 5)).size == (1, 1)


@pytest.mark.parametrize(
    "layer", [nn.Upsample(scale_factor=2), nn.ConvTranspose2d(1, 1, 2), nn.PixelShuffle(2)]
)
def test_unknown_layers_are_named(layer):
    with pytest.raises(
        SettingsError, match=f"cannot be told after '1' .{type(layer).__name__}"
    ):
        receptive_field(nn.Sequential(nn.Conv2d(1, 4, 3), layer))


def test_maps_of_different_stride_cannot_be_joined():
    with pytest.raises(SettingsError, match="cannot be told after 'add'"):
        receptive_field(Branches(nn.MaxPool2d(2), nn.Identity(), "add"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: receptive_field("resnet"), "must be an nn.Module, got str"),
        (
            lambda: receptive_field(nn.Conv2d(1, 1, 3), input_size=(8,)),
            "must hold 2 numbers",
        ),
        (lambda: receptive_field(nn.Linear(3, 3)).box(0, 0), "needs a field of rows"),
        (lambda: measured_receptive_field("resnet", (1, 8, 8)), "must be an nn.Module"),
        (
            lambda: measured_receptive_field(nn.Conv2d(3, 1, 3), (1, 8, 8)),
            "cannot read an image",
        ),
        (lambda: measured_receptive_field(nn.Conv2d(1, 1, 3), (8, 8)), "channels, height"),
        (
            lambda: measured_receptive_field(
                nn.Conv2d(1, 1, 3), (1, 8, 8), position=(6, 0)
            ),
            "must lie in the map of 6 x 6",
        ),
        (
            lambda: measured_receptive_field(nn.Flatten(), (1, 8, 8), position=(0, 0)),
            "position must be None",
        ),
        (
            lambda: measured_receptive_field(nn.Conv2d(1, 1, 3), (1, 8, 8), n_samples=0),
            "at least 1",
        ),
        (
            lambda: measured_receptive_field(nn.Flatten(0), (1, 8, 8)),
            "must give maps of shape",
        ),
    ],
)
def test_misuse_is_explained(call, words):
    with pytest.raises(CourseError, match=words) as caught:
        call()
    assert isinstance(caught.value, (SettingsError, ShapeError))


def test_parameters_are_counted_once():
    linear = nn.Linear(10, 10)
    model = nn.Sequential(linear, linear, nn.Linear(10, 1))
    assert count_parameters(model) == 110 + 11
    linear.requires_grad_(False)
    assert count_parameters(model, trainable_only=True) == 11
