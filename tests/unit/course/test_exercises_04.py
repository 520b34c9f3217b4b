"""The exercises of lesson 04: solutions are right, and each mistake gets a hint that helps."""

from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from coursekit.course import check_exercise
from coursekit.seeds import seeded
from coursekit.transforms import find_changing

BOOK = Path(__file__).parents[3] / "notebooks/solutions/04_augmentation.ipynb"


def test_the_share_of_changed_pixels_is_that_of_a_double_loop(solved):
    generator = torch.Generator().manual_seed(0)
    before = torch.randint(0, 3, (3, 6, 7), generator=generator)
    after = torch.randint(0, 3, (3, 6, 7), generator=generator)
    n_changed = sum(
        before[:, row, column].tolist() != after[:, row, column].tolist()
        for row in range(6)
        for column in range(7)
    )
    assert solved["changed_share"](before, after) == pytest.approx(n_changed / 42)


def test_the_validation_part_of_the_solution_does_not_change(solved):
    images = [torch.rand(3, 8, 8) for _ in range(9)]
    train, validation = solved["two_parts"](images, [0, 2, 4, 6], v2.RandomRotation(90))
    assert find_changing(validation) == []
    assert len(find_changing(train)) == 4
    assert [len(train), len(validation)] == [4, 5]


@pytest.mark.parametrize("seed", range(12))
def test_the_box_is_the_one_that_torchvision_cuts(solved, seed):
    cut = v2.CutMix(num_classes=2)
    with seeded(seed):
        drawn = cut.make_params([torch.zeros(2, 3, 20, 30)])
    with seeded(seed):
        share = float(cut._dist.sample(()))
        column, row = torch.randint(30, (1,)).item(), torch.randint(20, (1,)).item()
    left, top, right, bottom = drawn["box"]
    got = solved["cut_box"](20, 30, share, row, column)
    assert got[:4] == (top, bottom, left, right)
    assert got[4] == pytest.approx(drawn["lam_adjusted"])


@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0), (1, 1)])
def test_the_label_is_the_one_that_torchvision_mixes(solved, first, second):
    mixed = v2.MixUp(num_classes=3)
    rows = mixed._mixup_label(torch.tensor([first, second]), lam=0.3)
    assert solved["mixed_label"](first, second, 0.3, 3) == pytest.approx(rows[0].tolist())


def test_votes_are_counted_as_in_a_double_loop(solved):
    logits = 3 * torch.randn(5, 11, 4, generator=torch.Generator().manual_seed(1))
    right = []
    for image in range(11):
        total = sum(torch.softmax(logits[view, image], 0) for view in range(5))
        right.append(int(total.argmax()))
    assert solved["voted_classes"](logits) == right


# --- hints -----------------------------------------------------------------------------


class Part:
    """A data set with faults at will."""

    def __init__(self, items, indices, transform):
        self.items, self.indices, self.transform = items, indices, transform

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.transform(self.items[self.indices[index]])


def others(items, indices):
    return [index for index in range(len(items)) if index not in indices]


def same(image):
    return image


def shared(items, indices, transform):
    return Part(items, indices, transform), Part(items, others(items, indices), transform)


def swapped(items, indices, transform):
    return Part(items, others(items, indices), same), Part(items, indices, transform)


def early(items, indices, transform):
    rest = Part(items, others(items, indices), same)
    return [transform(items[index]) for index in indices], rest


def twice(items, indices, transform):
    train = Part(items, indices, lambda image: transform(transform(image)))
    return train, Part(items, others(items, indices), same)


def everything(items, indices, transform):
    return Part(items, indices, transform), Part(items, range(len(items)), same)


def plain(items, indices, transform):
    return Part(items, indices, same), Part(items, others(items, indices), same)


def sorted_train(items, indices, transform):
    return shared(items, sorted(indices), transform)


def emptied(items, indices, transform):
    taken = [items[index] for index in indices]
    for image in taken:
        items.remove(image)
    return Part(taken, range(len(taken)), transform), items


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (shared, "validation image was transformed"),
        (swapped, "training image came out as it is"),
        (early, "called once"),
        (twice, "transformed twice"),
        (everything, "has 6"),
        (plain, "training image came out as it is"),
        (sorted_train, "keep the order"),
        (emptied, "was changed"),
        (lambda items, indices, transform: [1, 2, 3], "two data sets"),
        (lambda items, indices, transform: (1, 2), "len of the training set stopped"),
        (
            lambda items, indices, transform: ({1, 2, 3}, [4, 5, 6]),
            "[0] of the training set stopped",
        ),
        (
            lambda items, indices, transform: (
                Part(items, indices, transform),
                [items[index] for index in indices],
            ),
            "not for training",
        ),
        (
            lambda items, indices, transform: (
                Part(items, others(items, indices), transform),
                Part(items, indices, same),
            ),
            "those at train_indices",
        ),
    ],
)
def test_faulty_parts_are_told_what_they_do(answer, words):
    result = check_exercise("04.2", answer)
    assert result.state == "not yet"
    assert words in result.message


def box(share_of_side=0.5, *, is_cut=True):
    def answer(height, width, share, row, column):
        side = (1 - share) ** share_of_side
        tall, wide = int(0.5 * side * height), int(0.5 * side * width)
        top, bottom, left, right = row - tall, row + tall, column - wide, column + wide
        if is_cut:
            top, bottom = max(top, 0), min(bottom, height)
            left, right = max(left, 0), min(right, width)
        return (
            top,
            bottom,
            left,
            right,
            1 - (bottom - top) * (right - left) / height / width,
        )

    return answer


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        ("04.1", lambda a, b: (a != b).all(0).double().mean(), "if any of its channels"),
        ("04.1", lambda a, b: (a != b).any(0).sum(), "Divide"),
        ("04.1", lambda a, b: 100 * (a != b).any(0).double().mean(), "percent"),
        ("04.1", lambda a, b: (a == b).all(0).double().mean(), "that stayed"),
        ("04.1", lambda a, b: (a.mean(0) != b.mean(0)).double().mean(), "mean of the ch"),
        ("04.3", box(1.0), "square root"),
        ("04.3", box(is_cut=False), "over the border"),
        ("04.3", lambda h, w, s, r, c: box()(h, w, 1 - s, r, c), "is replaced"),
        ("04.3", lambda h, w, s, r, c: (2, 6, 2, 6, 0.75), "all is kept"),
        (
            "04.4",
            lambda i, j, s, n: torch.eye(n)[i] * (1 - s) + torch.eye(n)[j] * s,
            "rest",
        ),
        ("04.4", lambda i, j, s, n: torch.eye(n)[i if s >= 0.5 else j], "larger part"),
        ("04.5", lambda x: x.argmax(2).mode(0).values, "how many views"),
        ("04.5", lambda x: x.softmax(0).mean(0).argmax(1), "last axis"),
        ("04.5", lambda x: x.softmax(2).amax(0).argmax(1), "single surest"),
        ("04.5", lambda x: x[0].argmax(1), "first view alone"),
        ("04.5", lambda x: x.softmax(2).mean(0), "Those are the probabilities"),
    ],
)
def test_a_mistake_gets_a_hint_that_helps(number, answer, words):
    result = check_exercise(number, answer)
    assert result.state == "not yet"
    assert words in result.message


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("04.1", lambda a, b: ((a - b).abs().amax(0) > 0).float().mean()),
        ("04.3", box()),
        (
            "04.4",
            lambda i, j, s, n: s * torch.eye(n)[i] + (1 - s) * torch.eye(n)[j],
        ),
        ("04.5", lambda x: x.softmax(2).sum(0).argmax(1)),
    ],
)
def test_right_answers_of_another_form_pass(number, answer):
    assert check_exercise(number, answer).state == "passed"
