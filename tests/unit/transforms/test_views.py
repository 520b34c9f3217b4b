"""average_views: averages against a slow truth, laws of symmetry, and misuse."""

import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from coursekit.errors import SettingsError, ShapeError
from coursekit.seeds import seeded
from coursekit.training import Trainer
from coursekit.transforms import (
    EIGHT_SYMMETRIES,
    FLIPS,
    PerImage,
    average_views,
    random_views,
)

IMAGES = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    with seeded(0, "model"):
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 4))


def predict_with(model):
    def predict(images):
        with torch.no_grad():
            return model(images)

    return predict


def truth(model, views, average):
    rows = []
    for image in IMAGES:
        votes = []
        for view in views:
            logits = model(view(image[None]))[0].detach()
            p = logits.softmax(0)
            vote = {"probabilities": p, "logits": p.log()}.get(average)
            votes.append(torch.eye(4)[p.argmax()] if vote is None else vote)
        mean = torch.stack(votes).mean(0)
        rows.append(mean.softmax(0) if average == "logits" else mean)
    return torch.stack(rows)


@pytest.mark.parametrize("average", ["probabilities", "logits", "votes"])
@pytest.mark.parametrize("views", [FLIPS, EIGHT_SYMMETRIES], ids=["flips", "eight"])
def test_it_agrees_with_a_loop_over_images_and_views(model, views, average):
    found = average_views(predict_with(model), IMAGES, views, average=average)
    torch.testing.assert_close(found.probabilities, truth(model, views, average))
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(5))
    assert found.by_view.shape == (len(views), 5, 4)
    assert torch.equal(found.labels, found.probabilities.argmax(1))


def test_the_eight_symmetries_are_all_different_and_the_first_changes_nothing():
    views = torch.stack([view(IMAGES[0]) for view in EIGHT_SYMMETRIES])
    assert len(views.flatten(1).unique(dim=0)) == 8
    assert torch.equal(views[0], IMAGES[0])


@pytest.mark.parametrize("symmetry", EIGHT_SYMMETRIES)
def test_the_average_over_all_symmetries_does_not_depend_on_how_an_image_lies(
    model, symmetry
):
    predict = predict_with(model)
    found = average_views(predict, IMAGES, EIGHT_SYMMETRIES)
    turned = average_views(predict, symmetry(IMAGES), EIGHT_SYMMETRIES)
    torch.testing.assert_close(turned.probabilities, found.probabilities)


def test_one_view_is_the_plain_prediction(model):
    found = average_views(predict_with(model), IMAGES, FLIPS[:1])
    torch.testing.assert_close(found.probabilities, model(IMAGES).softmax(1))


def test_probabilities_are_taken_as_they_are(model):
    def predict(images):
        return predict_with(model)(images).softmax(1)

    found = average_views(predict, IMAGES, gives="probabilities")
    expected = average_views(predict_with(model), IMAGES)
    torch.testing.assert_close(found.probabilities, expected.probabilities)


def test_the_trainer_predicts_for_it(model):
    trainer = Trainer(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    found = average_views(lambda images: trainer.predict([images]), IMAGES)
    expected = average_views(predict_with(model), IMAGES)
    torch.testing.assert_close(found.probabilities, expected.probabilities)


def test_random_views_do_the_same_every_time_and_differ_from_each_other():
    views = random_views(PerImage(v2.RandomRotation(90)), n_views=3, seed=0)
    first, again = ([view(IMAGES) for view in views] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])


def test_a_class_that_one_view_rules_out_has_no_chance_in_the_mean_of_logits():
    answers = iter([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.4, 0.6]])])
    found = average_views(
        lambda images: next(answers), IMAGES[:1], gives="probabilities", average="logits"
    )
    assert found.labels.item() == 0
    assert found.probabilities.isfinite().all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"views": []}, SettingsError, "at least one view"),
        ({"gives": "scores"}, SettingsError, "gives must be .* got 'scores'"),
        ({"average": "median"}, SettingsError, "average must be .* got 'median'"),
        ({"gives": "probabilities"}, SettingsError, "0 .. 1 .*gives='logits'"),
    ],
)
def test_wrong_options_are_refused(model, options, error, words):
    with pytest.raises(error, match=words):
        average_views(predict_with(model), IMAGES, **options)


def test_probabilities_above_one_are_refused():
    with pytest.raises(SettingsError, match=r"sums from 1\.2 to 1\.2"):
        average_views(lambda x: torch.full((5, 2), 0.6), IMAGES, gives="probabilities")


@pytest.mark.parametrize("shape", [(3, 4), (5,), (5, 4, 1)])
def test_predictions_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match="one row for each of the 5 images"):
        average_views(lambda images: torch.zeros(shape), IMAGES)


def test_no_random_view_is_refused():
    with pytest.raises(SettingsError, match="got 0"):
        random_views(PerImage(v2.RandomInvert()), n_views=0, seed=0)
