"""Runs on several machines become ranges, or a refusal; a second refresh changes nothing."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from coursekit.errors import NotebookError
from coursekit.nbtest.cells import (
    Rules,
    code_cells,
    own_metadata,
    read_measured,
    read_rules,
)
from coursekit.nbtest.machines import MACHINES, kernel_environment
from coursekit.nbtest.refresh import combine, find_training_cells, format_notebook, renew
from coursekit.nbtest.run import execute_notebook


def runs_of(*texts):
    outputs = [[new_output("stream", name="stdout", text=text)] for text in texts]
    return {f"machine {number}": output for number, output in enumerate(outputs)}


def test_the_range_is_what_all_runs_showed():
    measure = combine(
        runs_of("loss 0.50, 3 of 4", "loss 0.48, 3 of 4", "loss 0.51, 3 of 4"), Rules()
    )
    assert measure.ranges == {"0": "-0.02 0.01"}
    assert (measure.n_numbers, measure.n_moved, measure.refusals) == (3, 1, [])
    assert measure.widest == pytest.approx(0.06)


def test_times_are_never_compared():
    measure = combine(runs_of("loss 0.5 after 1.5 s", "loss 0.5 after 2.5 s"), Rules())
    assert (measure.ranges, measure.n_moved) == ({"1": "any"}, 0)
    assert not combine(runs_of("after 1.5 s", "after 900 ms"), Rules(costs=True)).ranges


def test_the_source_says_that_a_number_is_an_accuracy():
    same = runs_of("{0.80}", "{0.71}")
    assert not combine(same, Rules(), "losses").refusals
    assert combine(same, Rules(), "accuracies[name]").refusals


@pytest.mark.parametrize(("second", "is_refused"), [("9 7 6.8", True), ("9 7 5.9", False)])
def test_drawn_bars_in_falling_order_must_stay_so(second, is_refused):
    def figure(heights):
        record = {"title": "T", "axes": [{"bars": [{"heights": heights}]}]}
        data = {"application/vnd.coursekit.figure+json": record}
        return [new_output("display_data", data=data)]

    [*told] = combine({"a": figure("9 7 6"), "b": figure(second)}, Rules()).refusals
    assert ("less than three ranges" in "".join(told)) is is_refused


def test_a_long_curve_has_one_range():
    def figure(last):
        curve = {"x": "0 1 2 3 4 5 6 7 8 9", "y": f"0 1 2 3 4 5 6 7 8 {last}"}
        record = {"title": "T", "axes": [{"lines": [curve]}]}
        data = {"application/vnd.coursekit.figure+json": record}
        return [new_output("display_data", data=data)]

    measure = combine({"a": figure(9), "b": figure(8), "c": figure(11)}, Rules())
    assert measure.ranges == {"10-19": "-1 2"}


@pytest.mark.parametrize(
    ("texts", "rules", "words"),
    [
        (("CNN wins 0.9", "MLP wins 0.9"), Rules(), "words differ.*machine 1"),
        (("accuracy 0.70", "accuracy 0.76"), Rules(), "the accuracy 0.70 moves by 0.06"),
        (("70 % right", "76 % right"), Rules(), "moves by 6"),
    ],
)
def test_a_cell_that_another_machine_would_show_otherwise_is_refused(texts, rules, words):
    with pytest.raises(AssertionError, match=f"(?s){words}"):
        raise AssertionError("\n".join(combine(runs_of(*texts), rules).refusals))


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        (("accuracy 0.70", "accuracy 0.75"), Rules()),
        (("loss 0.70", "loss 0.90"), Rules()),
        (("a 0.50 b 0.52", "a 0.51 b 0.52"), Rules()),
    ],
)
def test_what_holds_everywhere_is_not_refused(texts, rules):
    assert combine(runs_of(*texts), rules).refusals == []


def test_cells_that_show_what_a_training_decided_are_found():
    sources = [
        "net = 1",
        "fit(net)\nscore = 2",
        "print(score)",
        "net",
        "score = 0",
        "score",
    ]
    cells = [new_code_cell(source) for source in sources]
    assert find_training_cells(cells, frozenset({2})) == {2, 3}


def test_a_kernel_has_one_thread_and_every_machine_is_another():
    assert kernel_environment()["OMP_NUM_THREADS"] == "1"
    assert kernel_environment({"OMP_NUM_THREADS": "2"})["OMP_NUM_THREADS"] == "2"
    assert len({tuple(sorted(changes.items())) for changes in MACHINES.values()}) == 9
    jitters = [changes["COURSEKIT_JITTER"] for changes in [*MACHINES.values()][1:]]
    assert jitters[:4] == ["1 1e-06", "2 0.0001", "3 1e-06", "4 0.0001"]


TRAINING = """\
import torch
def train(n_before):
    spare = [torch.zeros(3, requires_grad=True) for _ in range(n_before)]
    weight = torch.ones(1000, requires_grad=True)
    sgd = torch.optim.SGD([*spare, weight], lr=1e-9)
    for step in range(2):
        weight.sum().backward()
        sgd.step()
    return weight.detach()
one, two = train(0), train(2)"""


def test_jitter_is_the_same_for_trainings_that_must_agree_and_of_the_size_that_it_says():
    report = "print(torch.equal(one, two), one.std().item() * 1e6 // 0.2)"
    notebook = new_notebook(cells=[new_code_cell(TRAINING), new_code_cell(report)])
    texts = []
    for settings in ({}, {"COURSEKIT_JITTER": "1 1e-6"}):
        run = execute_notebook(notebook, folder=".", settings=settings, watch=True)
        assert run.failure is None
        assert run.trained == {1}
        texts.append(run.notebook.cells[1].outputs[0].text)
    assert texts == ["True 0.0\n", "True 4.0\n"] or texts == ["True 0.0\n", "True 5.0\n"]


LESSON = [
    "import os, time",
    "print('loss', 0.5 + int(os.environ['HERE']) / 100)",
    "print(f'{time.time() % 1:.6f} s')",
]


def lesson(*more):
    cells = [new_code_cell(source) for source in (*LESSON, *more)]
    cells[0].metadata["coursekit"] = {"exercise": "01.1"}
    cells[0].metadata["executionInfo"] = {"user": {"displayName": "Ada"}}
    return new_notebook(
        cells=cells, metadata={"coursekit": {"title": "T"}, "colab": {"name": "x"}}
    )


def run_on(notebook, n_machines):
    return {
        f"machine {n}": execute_notebook(notebook, folder=".", settings={"HERE": str(n)})
        for n in range(n_machines)
    }


def test_a_refresh_stores_outputs_and_ranges_and_a_second_one_changes_nothing():
    first, _ = renew(lesson(), run_on(lesson(), 3), name="01")
    text = format_notebook(first)
    cells = code_cells(first)
    assert cells[1].outputs[0].text == "loss 0.5\n"
    assert own_metadata(cells[1])["ranges"] == {"0": "0 0.02"}
    assert own_metadata(cells[2])["ranges"] == {"0": "any"}
    assert own_metadata(first)["measured"]["runs"] == 3
    assert own_metadata(cells[0])["exercise"] == "01.1"  # what somebody wrote stays
    assert "Ada" not in text
    assert "colab" not in text
    stored = nbformat.reads(text, as_version=4)
    second, _ = renew(stored, run_on(stored, 3), name="01")
    assert format_notebook(second) == text
    measured = read_measured(cells[1], first, read_rules(cells[1]))
    assert measured.is_known
    assert measured.trains  # its number moved


def test_one_run_makes_a_draft_that_says_so():
    draft, _ = renew(lesson(), run_on(lesson(), 1), name="01")
    assert own_metadata(draft)["measured"]["runs"] == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "print('abc'[int(os.environ['HERE'])])",
            "01 is not the same.*code cell 4.*words differ",
        ),
        (
            "assert os.environ['HERE'] == '0'",
            "code cell 4, on the machine 'machine 1' failed",
        ),
        ("print('x\\n' * 350_000)", "[0-9,]+ bytes, over 600,000"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_cell_and_reason(source, words):
    notebook = lesson(source)
    with pytest.raises(NotebookError, match=f"(?s){words}"):
        renew(notebook, run_on(notebook, 2), name="01")
