"""An answer is left alone when blank, helped when wrong, confirmed when right."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.course import check_exercise, find_exercise, list_exercises
from coursekit.course.exercises.checking import Case, Exercise, check_cases, judge
from coursekit.errors import SettingsError

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
EXERCISES = list_exercises()


def run_cell(source):
    """Run a cell and return what its last line, the check, gives."""
    *lines, check = source.strip().splitlines()
    names = {"check_exercise": check_exercise}
    exec("\n".join(lines), names)  # noqa: S102
    return eval(check, names)  # noqa: S307


def solution_cells(tag):
    cells = {}
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if tag in cell.metadata.get("tags", []):
                cells[cell.metadata["coursekit"]["exercise"]] = cell
    return cells


def answer_name(exercise):
    return exercise.starter.removeprefix("def ").split("(")[0].split(" =")[0]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
class TestEveryExercise:
    def test_blank_it_is_not_attempted(self, exercise):
        names = {}
        exec(exercise.starter, names)  # noqa: S102
        result = check_exercise(exercise.name, names[answer_name(exercise)])
        assert result.state == "not attempted"

    def test_its_solution_passes(self, exercise):
        cell = solution_cells("solution")[exercise.number]
        result = run_cell(cell.source)
        assert repr(result) == f"{exercise.name}: passed."
        assert cell.outputs[0]["data"]["text/plain"] == repr(result)

    def test_a_typical_mistake_gets_the_hint_that_is_shown(self, exercise):
        cell = solution_cells("mistake")[exercise.number]
        result = run_cell(cell.source)
        assert result.state == "not yet"
        assert len(result.message) > 30
        assert cell.outputs[0]["data"]["text/plain"] == repr(result)

    def test_an_answer_of_the_wrong_kind_gets_a_hint(self, exercise):
        for answer in (7, "seven", [], object(), lambda *_: object()):
            assert check_exercise(exercise.number, answer).state == "not yet"

    def test_a_crash_in_the_answer_is_told_with_its_arguments(self, exercise):
        if not exercise.sample:
            pytest.skip("the answer is a value, not a function")

        def broken(*arguments):
            raise KeyError("oops")

        message = check_exercise(exercise.number, broken).message
        assert "broken(" in message
        assert "stopped with KeyError: 'oops'" in message

    def test_a_function_that_says_not_implemented_is_not_attempted(self, exercise):
        if not exercise.sample:
            pytest.skip("the answer is a value, not a function")

        def later(*arguments):
            raise NotImplementedError

        assert check_exercise(exercise.number, later).state == "not attempted"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_a_lesson_holds_the_blank_form_and_its_check(exercise):
    [lesson] = NOTEBOOKS.glob(f"{exercise.number[:2]}_*.ipynb")
    sources = [cell.source for cell in nbformat.read(lesson, as_version=4).cells]
    assert any(exercise.starter in source for source in sources)
    names = {exercise.number, exercise.name}
    checks = [f'check_exercise("{name}", {answer_name(exercise)})' for name in names]
    assert any(check in source for source in sources for check in checks)


def test_an_unknown_exercise_lists_those_there_are():
    with pytest.raises(SettingsError, match=r"01\.2 edge kernel"):
        check_exercise("01.9", ...)


@pytest.mark.parametrize("name", ["", "01.1 something else", None])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(SettingsError, match="named by its number"):
        find_exercise(name)


@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(1, 3),
)
def test_the_solution_for_input_size_is_the_smallest_for_pytorch(
    output, kernel, stride, padding, dilation
):
    names = {"check_exercise": check_exercise}
    exec(solution_cells("solution")["01.1"].source, names)  # noqa: S102
    size = names["input_size"](output, kernel, stride, padding, dilation)
    layer = torch.nn.Conv1d(1, 1, kernel, stride, padding, dilation)
    if size > 0:
        assert layer(torch.zeros(1, 1, size)).shape[-1] == output
    if size > 1 and size - 1 + 2 * padding >= dilation * (kernel - 1) + 1:
        assert layer(torch.zeros(1, 1, size - 1)).shape[-1] < output


def test_numpy_integers_count_as_whole_numbers():
    def input_size(output, kernel, stride, padding, dilation):
        return np.int64((output - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding)

    assert check_exercise("01.1", input_size).state == "passed"


def test_a_float_is_no_size():
    def input_size(output, kernel, stride, padding, dilation):
        return float((output - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding)

    assert check_exercise("01.1", input_size).state == "not yet"


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_a_kernel_may_be_a_list_an_array_or_a_tensor(make):
    assert (
        check_exercise("01.2", make([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])).state == "passed"
    )


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.ones((3, 3)), "sum to"),
        ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], "Turn it"),
        ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "horizontal edges too"),
        (np.array([[-1, 0, 1]] * 3) / 100, "stronger"),
        (np.ones((5, 5)), "3 x 3"),
        (np.full((3, 3), np.nan), "finite"),
        ([[1, 2], [3]], "no array"),
    ],
)
def test_each_way_to_miss_the_edge_kernel_has_its_own_hint(kernel, words):
    message = repr(check_exercise("01.2", kernel))
    assert words in message


def test_a_hint_never_holds_the_solution():
    for number, cell in solution_cells("mistake").items():
        hint = cell.outputs[0]["data"]["text/plain"]
        lines = solution_cells("solution")[number].source.splitlines()
        told = [line.strip() for line in lines if line.startswith(" ") and len(line) > 16]
        assert not [line for line in told if line.removeprefix("return ") in hint]


def test_a_function_that_forgets_one_way_out_is_told_so():
    def half(x):
        return x if x < 2 else None

    exercise = Exercise(
        name="99.1 half",
        starter="",
        sample=(1,),
        check=lambda answer: check_cases(answer, [Case((1,), 1, ""), Case((3,), 3, "")]),
    )
    message = judge(exercise, half).message
    assert "half(3) returned nothing" in message


def test_a_missing_exception_is_asked_for():
    cases = [Case((2,), ValueError, "Refuse even numbers.")]
    hint = check_cases(lambda x: x, cases)
    assert "should raise ValueError, and it returned 2. Refuse even" in hint


def test_an_array_where_a_number_is_wanted_is_wrong_not_a_crash():
    cases = [Case((2,), 2, "One number.")]
    assert "One number." in check_cases(lambda x: np.array([x, x]), cases)
