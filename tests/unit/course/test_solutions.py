"""Solutions whose formula is easily wrong agree with a library, beyond the cases."""

import nbformat
import pytest
import timm
import timm.optim
import timm.utils
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from coursekit.assets import notebooks_folder
from coursekit.course import check_exercise
from coursekit.seeds import make_generator, seeded


def solutions():
    """Return what the solutions define, by the number of the lesson."""
    books = {}
    for path in sorted((notebooks_folder() / "solutions").glob("*.ipynb")):
        names = books[path.name[:2]] = {"check_exercise": check_exercise}
        for cell in nbformat.read(path, as_version=4).cells:
            if "solution" in cell.metadata.get("tags", []):
                exec(cell.source, names)  # noqa: S102
    return books


SOLVED = solutions()


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=make_generator(seed))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"), [(1, 0, 1), (3, 1, 2), (5, 4, 3)]
)
def test_the_input_size_is_the_smallest_that_gives_the_output(
    kernel, stride, padding, dilation
):
    layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation)
    for output in (7, 20):
        size = SOLVED["01"]["input_size"](output, kernel, stride, padding, dilation)
        assert layer(torch.zeros(1, 1, size)).shape[-1] == output
        assert layer(torch.zeros(1, 1, size - 1)).shape[-1] < output


@pytest.mark.parametrize(
    "sizes", [(3, 1, (2, 5), (4, 3), 2), (192, 64, (96, 128), (16, 32), 32)]
)
def test_inception_is_counted_in_layers(sizes):
    n_in, n_1x1, n_3x3, n_5x5, n_pool = sizes
    layers = [(n_in, n, 1) for n in (n_1x1, n_3x3[0], n_5x5[0], n_pool)]
    layers += [(*n_3x3, 3), (*n_5x5, 5)]
    weights = sum(nn.Conv2d(*layer, bias=False).weight.numel() for layer in layers)
    n_out = n_1x1 + n_3x3[1] + n_5x5[1] + n_pool
    assert SOLVED["02"]["inception_size"](*sizes) == (n_out, weights)


@pytest.mark.parametrize("seed", range(3))
def test_batch_norm_is_pytorchs(seed):
    x = 3 * numbers(5, 4, 3, 2, seed=seed) + 1
    gamma, beta = numbers(2, 4, seed=seed)
    theirs = F.batch_norm(x, None, None, gamma, beta, training=True)
    assert torch.allclose(SOLVED["02"]["batch_norm"](x, gamma, beta), theirs, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_box_is_the_one_that_torchvision_cuts(seed):
    cut = v2.CutMix(num_classes=2)
    with seeded(seed):
        drawn = cut.make_params([torch.zeros(2, 3, 20, 30)])
    with seeded(seed):
        share = float(cut._dist.sample(()))
        column, row = torch.randint(30, (1,)).item(), torch.randint(20, (1,)).item()
    left, top, right, bottom = drawn["box"]
    got = SOLVED["04"]["cut_box"](20, 30, share, row, column)
    assert got[:4] == (top, bottom, left, right)
    assert got[4] == pytest.approx(drawn["lam_adjusted"])


@pytest.mark.parametrize("lesson", ["05", "06"])
@pytest.mark.parametrize("decay", [0.5, 0.75, 1.0])
def test_rates_are_those_of_timms_groups(lesson, decay):
    model = timm.create_model("test_resnet")
    groups = timm.optim.param_groups_layer_decay(model, layer_decay=decay)
    scales = sorted({group["lr_scale"] for group in groups})
    n_depths = len(timm.models.group_parameters(model, model.group_matcher()))
    rates = SOLVED[lesson]["rates_by_depth"](n_depths, 1.0, decay)
    assert sorted(set(rates)) == pytest.approx(scales)
    assert rates == sorted(rates)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 8, 13])
def test_channels_are_adapted_as_timm_does(n_channels):
    weight = numbers(4, 3, 5, 5)
    theirs = timm.models.adapt_input_conv(n_channels, weight.clone())
    torch.testing.assert_close(SOLVED["06"]["adapt_channels"](weight, n_channels), theirs)


@pytest.mark.parametrize("places", [1, 5, 24])
def test_the_deepest_level_is_that_of_a_models_maps(places):
    model = timm.create_model("test_resnet", features_only=True)
    sides = [level.shape[-1] for level in model(torch.zeros(1, 3, 96, 96))]
    right = max(level for level, side in enumerate(sides) if side >= places)
    reductions = model.feature_info.reduction()
    assert SOLVED["06"]["deepest_level"](reductions, 96, places) == right


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_averages_are_those_of_timms_second_model(decay):
    weights = [1.0, -2.0, 0.5, 3.0]
    model = nn.Linear(1, 1, bias=False)
    theirs = []
    with torch.no_grad():
        model.weight.fill_(weights[0])
        average = timm.utils.ModelEmaV3(model, decay=decay)
        for weight in weights:
            model.weight.fill_(weight)
            average.update(model)
            theirs.append(average.module.weight.item())
    ours = SOLVED["06"]["moving_averages"](weights, decay)
    assert ours == pytest.approx(theirs, rel=1e-6)
