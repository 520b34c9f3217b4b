"""An answer is left alone when blank, helped when wrong, confirmed when right."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from coursekit.course import check_exercise, find_exercise, list_exercises
from coursekit.course.exercises.checking import Case, Exercise, check_cases, judge
from coursekit.errors import SettingsError
from coursekit.models import Inception

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
    lesson = next(NOTEBOOKS.glob(f"{exercise.number[:2]}_*.ipynb"), None)
    if lesson is None:
        pytest.skip(f"there is no lesson {exercise.number[:2]} yet")
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


def solve(number):
    """Return the function of the solutions."""
    names = {"check_exercise": check_exercise}
    exec(solution_cells("solution")[number].source, names)  # noqa: S102
    return names[answer_name(find_exercise(number))]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_solution_for_top_k_error_is_that_of_scikit_learn(k):
    generator = torch.Generator().manual_seed(k)
    logits = torch.randn(40, 6, generator=generator)
    labels = torch.randint(6, (40,), generator=generator)
    right = top_k_accuracy_score(labels, logits, k=k, labels=range(6))
    assert solve("02.1")(logits, labels, k) == pytest.approx(1 - right)


@given(st.integers(1, 6), st.integers(2, 7), st.integers(1, 5))
def test_the_solution_for_stacked_kernels_builds_the_field(n_layers, kernel, channels):
    layers = [torch.nn.Conv1d(1, 1, kernel) for _ in range(n_layers)]
    field = next(n for n in range(1, 99) if _fits(n, layers))
    conv = torch.nn.Conv2d(channels, channels, kernel, bias=False)
    expected = n_layers, n_layers * conv.weight.numel()
    assert solve("02.2")(field, channels, kernel) == expected


def _fits(size, layers):
    for layer in layers:
        size -= layer.kernel_size[0] - 1
    return size >= 1


@given(*[st.integers(1, 9)] * 7)
def test_the_solution_for_inception_counts_the_module(n_in, a, b, c, d, e, n_pool):
    module = Inception(n_in, a, (b, c), (d, e), n_pool)
    weights = sum(p.numel() for p in module.parameters() if p.ndim == 4)
    n_out = module(torch.zeros(1, n_in, 1, 1)).shape[1]
    assert solve("02.3")(n_in, a, (b, c), (d, e), n_pool) == (n_out, weights)


@pytest.mark.parametrize("seed", range(3))
def test_the_solution_for_batch_norm_is_pytorchs(seed):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(5, 4, 3, 2, generator=generator) + 1
    gamma, beta = torch.randn(2, 4, generator=generator)
    theirs = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
    assert torch.allclose(solve("02.4")(x, gamma, beta), theirs, atol=1e-5)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3, 5]))
def test_the_solution_for_separable_savings_counts_the_block(n_in, n_out, kernel):
    depthwise = torch.nn.Conv2d(n_in, n_in, kernel, groups=n_in, bias=False)
    pointwise = torch.nn.Conv2d(n_in, n_out, 1, bias=False)
    weights = depthwise.weight.numel() + pointwise.weight.numel()
    standard = torch.nn.Conv2d(n_in, n_out, kernel, bias=False).weight.numel()
    assert solve("02.5")(n_in, n_out, kernel) == pytest.approx(weights / standard)


F = torch.nn.functional


def _scaled(change):
    """Return a batch normalization whose scaling goes wrong."""
    return lambda x, gamma, beta: change(
        F.batch_norm(x, None, None, training=True),
        gamma.view(1, -1, 1, 1),
        beta.view(1, -1, 1, 1),
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, g, b: F.instance_norm(x, None, None, g, b), "Each image is normalized"),
        (lambda x, g, b: F.layer_norm(x, x.shape[1:]), "layer normalization"),
        (lambda x, g, b: (x - x.mean()) / x.std(correction=0), "channels are mixed"),
        (lambda x, g, b: F.batch_norm(x, None, None, g, b, True) * 0.968, "correction=0"),
        (lambda x, g, b: x - x.mean((0, 2, 3), keepdim=True), "divide by the deviation"),
        (lambda x, g, b: x / x.std((0, 2, 3), correction=0, keepdim=True), "subtract it"),
        (lambda x, g, b: x, "mean 0 and deviation 1"),
        (lambda x, g, b: x.mean(), "keeps the shape"),
        (_scaled(lambda x, g, b: x), "not used yet"),
        (_scaled(lambda x, g, b: (x + b) * g), "beta is added last"),
        (_scaled(lambda x, g, b: x * g - b), "Channel c is multiplied"),
        (lambda x, g, b: solve("02.4")(x, g, b, eps=0.0), "variance 0"),
    ],
)
def test_each_way_to_miss_the_batch_norm_has_its_own_hint(answer, words):
    assert words in repr(check_exercise("02.4", answer))


def test_an_answer_that_changes_its_input_is_judged_by_what_it_returns():
    def in_place(x, gamma, beta):
        x -= x.mean((0, 2, 3), keepdim=True)
        x /= (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
        return x.mul_(gamma.view(-1, 1, 1)).add_(beta.view(-1, 1, 1))

    assert check_exercise("02.4", in_place).state == "passed"


@pytest.mark.parametrize("make", [float, np.float32, torch.tensor])
def test_a_share_may_be_a_float_or_a_scalar_of_single_precision(make):
    def separable_share(in_channels, out_channels, kernel):
        return make(1 / out_channels + 1 / kernel**2)

    assert check_exercise("02.5", separable_share).state == "passed"


@pytest.mark.parametrize("value", ["1.0", np.ones(2), None, complex(1)])
def test_what_is_no_number_is_no_share(value):
    assert check_exercise("02.5", lambda *_: value).state != "passed"


def test_many_values_are_shown_by_their_shape_and_few_on_one_line():
    cases = [Case((np.zeros((3, 9)), np.eye(2)), 1, "")]
    hint = check_cases(lambda x, y: 2, cases)
    assert "(<ndarray of shape (3, 9)>, array([[1., 0.], [0., 1.]]))" in hint


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
