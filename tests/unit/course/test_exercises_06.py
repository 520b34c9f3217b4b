"""The exercises of lesson 06: solutions are right, and each mistake gets a hint that helps."""

from pathlib import Path

import pytest
import timm
import timm.optim
import timm.utils
import torch
from torchvision.transforms import v2

from coursekit.course import check_exercise

BOOK = Path(__file__).parents[3] / "notebooks/solutions/06_timm.ipynb"


def numbers(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 8, 13])
def test_channels_are_adapted_as_timm_does(solved, n_channels):
    weight = numbers(4, 3, 5, 5)
    theirs = timm.models.adapt_input_conv(n_channels, weight.clone())
    torch.testing.assert_close(solved["adapt_channels"](weight, n_channels), theirs)


@pytest.mark.parametrize("places", [1, 2, 5, 12, 24])
def test_the_deepest_level_is_that_of_a_models_maps(solved, places):
    model = timm.create_model("test_resnet", features_only=True)
    sides = [level.shape[-1] for level in model(torch.zeros(1, 3, 96, 96))]
    right = max(level for level, side in enumerate(sides) if side >= places)
    assert solved["deepest_level"](model.feature_info.reduction(), 96, places) == right


def test_images_are_prepared_as_torchvision_does(solved):
    images = torch.randint(256, (3, 7, 9, 3), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    theirs = v2.functional.normalize(
        v2.functional.to_dtype(images.permute(0, 3, 1, 2), torch.float32, scale=True),
        mean,
        std,
    )
    torch.testing.assert_close(solved["prepare_images"](images, mean, std), theirs)


@pytest.mark.parametrize("decay", [0.5, 0.75, 1.0])
def test_rates_are_those_of_timms_groups(solved, decay):
    model = timm.create_model("test_resnet")
    groups = timm.optim.param_groups_layer_decay(model, layer_decay=decay)
    scales = sorted({group["lr_scale"] for group in groups})
    n_depths = len(timm.models.group_parameters(model, model.group_matcher()))
    rates = solved["rates_by_depth"](n_depths, 1.0, decay)
    assert sorted(set(rates)) == pytest.approx(scales)
    assert rates == sorted(rates)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_averages_are_those_of_timms_second_model(solved, decay):
    weights = [1.0, -2.0, 0.5, 3.0]
    model = torch.nn.Linear(1, 1, bias=False)
    theirs = []
    with torch.no_grad():
        model.weight.fill_(weights[0])
        average = timm.utils.ModelEmaV3(model, decay=decay)
        for weight in weights:
            model.weight.fill_(weight)
            average.update(model)
            theirs.append(average.module.weight.item())
    assert solved["moving_averages"](weights, decay) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    ("exercise", "mistake", "words"),
    [
        ("06.1", lambda w, n: w.mean(1, keepdim=True) if n == 1 else scaled(w, n), "mean"),
        (
            "06.1",
            lambda w, n: w.sum(1, keepdim=True) * 3 / n if n == 1 else scaled(w, n),
            "as it is",
        ),
        (
            "06.1",
            lambda w, n: w.sum(1, keepdim=True) if n == 1 else w[:, :1].repeat(1, n, 1, 1),
            "channels",
        ),
        ("06.2", lambda r, s, p: levels(r, s, p)[0], "Asked is the deepest"),
        ("06.2", lambda r, s, p: r[levels(r, s, p)[-1]], "the level's index"),
        ("06.2", lambda r, s, p: len(levels(r, s, p)), "one less"),
        (
            "06.2",
            lambda r, s, p: levels(r, s, p)[-1] if p < 17 else 0,
            "should raise ValueError",
        ),
        (
            "06.3",
            lambda x, m, s: (x.permute(0, 3, 1, 2) - column(m)) / column(s),
            "not divided by 255",
        ),
        (
            "06.3",
            lambda x, m, s: x.permute(0, 3, 1, 2) / 255 / column(s) - column(m),
            "First the mean",
        ),
        (
            "06.3",
            lambda x, m, s: (x / 255 - torch.tensor(m)) / torch.tensor(s),
            "still come last",
        ),
        ("06.4", lambda n, r, d: [r * d**i for i in range(n)], "other way round"),
        ("06.4", lambda n, r, d: [r * d ** (n - i) for i in range(n)], "full rate"),
        ("06.4", lambda n, r, d: [d ** (n - 1 - i) for i in range(n)], "factors"),
        ("06.5", lambda w, d: averaged(w, 1 - d), "changed places"),
        ("06.5", lambda w, d: averaged([0.0, *w], d)[1:], "begins at zero"),
        ("06.5", lambda w, d: averaged(w, d)[-1], "last average"),
    ],
)
def test_mistakes_get_their_hints(exercise, mistake, words):
    result = check_exercise(exercise, mistake)
    assert result.state == "not yet"
    assert words in result.message


def scaled(weight, n):
    return weight.repeat(1, -(-n // 3), 1, 1)[:, :n] * 3 / n


def levels(reductions, side, places):
    found = [i for i, reduction in enumerate(reductions) if side // reduction >= places]
    if not found:
        raise ValueError
    return found


def column(numbers):
    return torch.tensor(numbers)[:, None, None]


def averaged(weights, decay):
    made = [weights[0]]
    for weight in weights[1:]:
        made.append(decay * made[-1] + (1 - decay) * weight)
    return made
