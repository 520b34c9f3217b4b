"""An answer is left alone when blank, helped when wrong, confirmed when right."""

import json
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from coursekit.course import check_exercise
from coursekit.course.checking import Exercise, judge, list_exercises
from coursekit.errors import SettingsError

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
EXERCISES = list_exercises()
NUMBERS = [exercise.name.split()[0] for exercise in EXERCISES]
MISTAKES = [(e.name, hint, wrong) for e in EXERCISES for hint, wrong in e.mistakes.items()]


@cache
def lesson_sources(number):
    (lesson,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return ["".join(cell["source"]) for cell in json.loads(lesson.read_text())["cells"]]


def cells(tag):
    """Return the solutions' cells with a tag, by the number of their exercise."""
    found = {}
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if tag in cell.metadata.get("tags", []):
                found[cell.metadata["coursekit"]["exercise"]] = cell
    return found


SOLUTIONS, TYPICAL = cells("solution"), cells("mistake")


def run_cell(cell):
    """Run a cell and return what its last line, the check, gives."""
    *lines, check = cell.source.strip().splitlines()
    names = {"check_exercise": check_exercise}
    exec("\n".join(lines), names)  # noqa: S102
    return eval(check, names)  # noqa: S307


def stored(cell):
    return cell.outputs[0]["data"]["text/plain"]


def not_written(*arguments):
    raise NotImplementedError


def blank_form(exercise):
    return (
        f"def {exercise.form}:\n    ..."
        if "(" in exercise.form
        else f"{exercise.form} = ..."
    )


@pytest.mark.parametrize(
    ("number", "exercise"), [*zip(NUMBERS, EXERCISES, strict=True)], ids=NUMBERS
)
class TestEveryExercise:
    def test_blank_it_is_not_attempted(self, number, exercise):
        names = {}
        exec(blank_form(exercise), names)  # noqa: S102
        blank = names[exercise.form.split("(")[0]]
        assert check_exercise(exercise.name, blank).state == "not attempted"
        if "(" in exercise.form:
            assert check_exercise(number, not_written).state == "not attempted"

    def test_its_solution_passes(self, number, exercise):
        cell = SOLUTIONS[number]
        assert repr(run_cell(cell)) == stored(cell) == f"{exercise.name}: passed."

    def test_a_typical_mistake_gets_the_hint_that_is_shown(self, number, exercise):
        cell = TYPICAL[number]
        result = run_cell(cell)
        assert result.state == "not yet"
        assert len(result.message) > 30
        assert repr(result) == stored(cell)

    def test_an_answer_of_the_wrong_kind_or_that_crashes_gets_a_hint(
        self, number, exercise
    ):
        for answer in (7, "seven", [], object(), lambda *_: object()):
            assert check_exercise(number, answer).state == "not yet"

        def broken(*arguments):
            raise KeyError("oops")

        message = check_exercise(number, broken).message
        if "(" in exercise.form:
            assert "broken(" in message
            assert "stopped with KeyError: 'oops'" in message

    def test_the_lesson_holds_the_blank_form_and_its_check(self, number, exercise):
        sources = lesson_sources(number[:2])
        assert any(blank_form(exercise) in source for source in sources)
        answer = exercise.form.split("(")[0]
        checks = [f'check_exercise("{name}", {answer})' for name in (number, exercise.name)]
        assert any(check in source for source in sources for check in checks)


@pytest.mark.parametrize(("number", "hint", "wrong"), MISTAKES)
def test_each_known_mistake_gets_its_own_hint(number, hint, wrong):
    result = check_exercise(number, wrong)
    assert result.state == "not yet"
    assert result.message.endswith(hint)


@pytest.mark.parametrize("name", ["01.9", "", "01.1 something else", None])
def test_an_unknown_exercise_lists_those_there_are(name):
    with pytest.raises(SettingsError, match=r"named by its number.*01\.2 edge kernel"):
        check_exercise(name, 1)


# --- how answers are compared and shown -------------------------------------------------


def say(answer, *cases, **settings):
    exercise = Exercise("99.1 test", "f(x)", cases=cases, **settings)
    return repr(judge(exercise, answer))


def test_a_function_that_forgets_one_way_out_is_told_so():
    def half(x):
        return x if x < 2 else None

    assert "None. Does every way" in say(half, ((1,), 1, ""), ((3,), 3, ""))


def test_a_missing_exception_is_asked_for():
    said = say(lambda x: x, ((2,), ValueError, "Refuse even numbers."))
    assert "should raise ValueError, and it returned 2. Refuse even" in said
    assert "passed" in say(lambda x: [][x], ((2,), IndexError, ""))


NUMPY, TENSORS = (np.int64(3), np.float32(0.1)), [torch.tensor(3), torch.tensor([0.1])]


@pytest.mark.parametrize(
    ("expected", "value", "state"),
    [
        ((3, 0.1), NUMPY, "passed"),
        ([3, [0.1]], TENSORS, "passed"),
        ([0.1, 0.3], (0.1, 0.1 + 0.2), "passed"),
        ([1, 2], [1.0, 2.0], "passed"),
        ((1, [2]), (torch.ones(()), torch.tensor([2.0])), "passed"),
        ([1, 2], [1.0, 2.1], "not yet"),
        (3, 3.0, "not yet"),
        (1.0, 1 + 9e-7, "passed"),
        (1.0, 1 + 3e-6, "not yet"),
        (3, "3", "not yet"),
        (1.0, np.ones(2), "not yet"),
        (1.0, 1j, "not yet"),
        ([1], 1, "not yet"),
        ([1], [1, 1], "not yet"),
    ],
)
def test_arrays_and_single_precision_will_do_and_whole_floats_in_a_list(
    expected, value, state
):
    assert state in say(lambda x: value, ((1,), expected, ""))


def test_places_say_how_near_a_float_must_be_and_how_it_is_shown():
    assert "returned [0.33333]. No" in say(
        lambda x: [1 / 3], ((1,), [0.5], "No."), places=5
    )
    for value, places, state in ((1 / 3 + 9e-6, 5, "passed"), (1 / 3 + 9e-6, 6, "not yet")):
        assert state in say(lambda x, y=value: y, ((1,), 1 / 3, ""), places=places)


def test_many_values_are_shown_by_their_shape_and_few_on_one_line():
    said = say(lambda x, y: 2, ((np.zeros((3, 9)), np.eye(2)), 1, ""))
    assert "(<ndarray of shape (3, 9)>, array([[1., 0.], [0., 1.]]))" in said


def test_an_answer_that_changes_its_arguments_is_judged_by_what_it_returns():
    case = (torch.ones(2),), [2.0, 2.0], ""
    assert "passed" in say(lambda x: x.add_(1), case, case)
    assert case[0][0].tolist() == [1, 1]


# --- checks that are more than cases ----------------------------------------------------


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_a_kernel_may_be_a_list_an_array_or_a_tensor(make):
    kernel = make([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    assert check_exercise("01.2", kernel).state == "passed"


F = torch.nn.functional
_IDENTITY, _BLUR = np.pad([[1.0]], 1), np.full((3, 3), 1 / 9)


def normal(x, gamma, beta, *, eps=1e-5, gain=1.0):
    dims = (0, 2, 3)
    deviation = (x.var(dims, keepdim=True, correction=0) + eps).sqrt()
    x = gain * (x - x.mean(dims, keepdim=True)) / deviation
    return x * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


def embed(model, images, batch_size, *, grad=False, mode=True, after=None, last=True):
    """Run the right loop, with its parts left out at will."""
    was = model.training
    if mode:
        model.eval()
    parts = images.split(batch_size)
    parts = parts if last else parts[: len(images) // batch_size]
    with torch.set_grad_enabled(grad):
        rows = torch.cat([model(part) for part in parts])
    model.train(was if after is None else after)
    return rows


class Part:
    """A data set with faults at will."""

    def __init__(self, items, indices, transform=lambda image: image):
        self.items, self.indices, self.transform = items, indices, transform

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.transform(self.items[self.indices[index]])


REST = [1, 2, 5]


def freeze(model, name, *, is_trained=True):
    model.requires_grad_(False)
    part = model.get_submodule(name).requires_grad_(is_trained)
    return sum(value.numel() for value in part.parameters())


HINTS = [
    ("01.2", np.ones((3, 3)), "sum to"),
    ("01.2", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]], "Turn it"),
    ("01.2", [[0, 1, 0], [1, -4, 1], [0, 1, 0]], "horizontal edges too"),
    ("01.2", np.array([[-1, 0, 1]] * 3) / 100, "stronger"),
    ("01.2", np.ones((5, 5)), "3 x 3"),
    ("01.2", np.full((3, 3), np.nan), "sum to"),
    ("01.6", lambda a: _BLUR, "blur itself"),
    ("01.6", lambda a: _IDENTITY * 1.5, "change nothing"),
    ("01.6", lambda a: _IDENTITY * (1 + a), "weights sum to"),
    ("01.6", lambda a: _IDENTITY + a**2 * (_IDENTITY - _BLUR), "times the details"),
    ("02.4", lambda x, g, b: F.instance_norm(x, None, None, g, b), "Each image is norm"),
    ("02.4", lambda x, g, b: (x - x.mean()) / x.std(correction=0), "channels are mixed"),
    ("02.4", lambda x, g, b: normal(x, g, b, gain=0.968), "correction=0"),
    ("02.4", lambda x, g, b: x.fill_(torch.nan), "mean 0 and deviation 1"),
    ("02.4", lambda x, g, b: x.mean(), "keeps the shape"),
    ("02.4", lambda x, g, b: normal(x, g / g, 0 * b), "not used yet"),
    ("02.4", lambda x, g, b: normal(x, g, g * b), "Channel c is multiplied"),
    ("02.4", lambda x, g, b: normal(x, g, b, eps=0), "variance 0"),
    ("03.2", lambda m, x, n: embed(m, x, n, mode=False), "training mode"),
    ("03.2", lambda m, x, n: embed(m, x, n, grad=True), "gradients on"),
    ("03.2", lambda m, x, n: embed(m, x, n, after=False), "restore what it was"),
    ("03.2", lambda m, x, n: embed(m, x, n, last=False), "batches of [3, 3]"),
    ("03.2", lambda m, x, n: embed(m, x, len(x)), "batches of [7]"),
    ("03.2", lambda m, x, n: list(embed(m, x, n)), "torch.cat"),
    ("03.2", lambda m, x, n: embed(m, x, n).flip(0), "in their order"),
    ("04.2", lambda x, i, t: (Part(x, i, t), Part(x, REST, t)), "validation image was t"),
    ("04.2", lambda x, i, t: (Part(x, i), Part(x, REST)), "came out as it is"),
    ("04.2", lambda x, i, t: (Part(x, i, lambda y: t(t(y))), Part(x, REST)), "each transf"),
    ("04.2", lambda x, i, t: (Part(x, i, t), Part(x, range(6))), "these have [3, 6]"),
    ("04.2", lambda x, i, t: (Part(x, sorted(i), t), Part(x, REST)), "in their order"),
    ("04.2", lambda x, i, t: (Part(x, i, t), Part(x, i)), "not for training"),
    ("04.2", lambda x, i, t: [1, 2, 3], "two data sets"),
    ("05.1", lambda model, name: 10, "what trains is ['body.0.weight"),
    ("05.1", lambda m, name: freeze(m, name, is_trained=False), "what trains is []"),
    ("05.1", lambda m, name: freeze(m, name) + 1, "10 numbers train, and 11"),
    ("05.1", lambda m, name: freeze(m, "head"), "It should be ['body.0.weight"),
]


@pytest.mark.parametrize(("number", "answer", "words"), HINTS)
def test_each_way_to_miss_it_has_a_hint(number, answer, words):
    result = check_exercise(number, answer)
    assert result.state == "not yet"
    assert words in result.message


def test_a_loop_of_single_images_passes():
    assert check_exercise("03.2", lambda m, x, n: embed(m, x, 1)).state == "passed"
