"""What notebooks cost is told in a table, with what is over budget and the slowest cells."""

import pytest

from coursekit.errors import NotebookError
from coursekit.nbtest.budgets import Cost, excesses, format_budgets, read_budget


def cost(**changes):
    settings = {"name": "01.ipynb", "seconds": 75.2, "peak_bytes": 900 * 2**20}
    return Cost(**(settings | {"cell_seconds": {1: 0.5, 2: 70.0}} | changes))


def test_nothing_is_told_of_nothing():
    assert format_budgets([]) == []


def test_a_notebook_is_told_with_seconds_memory_and_budget():
    head, row, *_ = format_budgets([cost(budget_seconds=100, budget_mib=1024)])
    assert head.split() == ["notebook", "cells", "seconds", "peak", "memory", "budget"]
    assert row.split() == [
        "01.ipynb",
        "2",
        "75.2",
        "900",
        "MiB",
        "100",
        "s,",
        "1,024",
        "MiB",
    ]


def test_what_was_not_measured_is_said():
    lines = format_budgets([cost(peak_bytes=None, budget_mib=1)])
    assert "not measured" in lines[1]
    assert not any("OVER" in line for line in lines)


def test_what_is_over_budget_is_told_with_by_how_much():
    over = cost(budget_seconds=60, budget_mib=500)
    assert excesses(over) == [
        "01.ipynb took 75.2 s, 15.2 s (25%) over its budget of 60 s.",
        "01.ipynb used 900 MiB, 400 MiB (80%) over its budget of 500 MiB.",
    ]
    lines = format_budgets([over])
    assert [line for line in lines if line.startswith("OVER BUDGET: 01.ipynb")] == lines[
        2:4
    ]


@pytest.mark.parametrize("settings", [{}, {"budget_seconds": 75.2, "budget_mib": 900}])
def test_a_notebook_within_its_budget_is_not_over_it(settings):
    assert excesses(cost(**settings)) == []


def test_the_five_slowest_cells_of_all_notebooks_are_told_slowest_first():
    one = cost(name="a", cell_seconds={n: float(n) for n in range(1, 5)})
    two = cost(name="b", cell_seconds={n: n + 0.5 for n in range(1, 5)})
    lines = format_budgets([one, two])
    assert lines[3] == "slowest cells:"
    assert [line.split()[0] for line in lines[4:]] == ["4.5", "4.0", "3.5", "3.0", "2.5"]
    assert lines[4].endswith("b, code cell 4")


def test_columns_are_aligned():
    lines = format_budgets([cost(), cost(name="a/much/longer/name.ipynb", seconds=1234.5)])
    assert len({line.index("MiB") for line in lines[1:3]}) == 1


def test_a_budget_is_read_from_the_metadata_of_a_notebook():
    assert read_budget({}, where="x") == {"budget_seconds": None, "budget_mib": None}
    said = {"coursekit": {"budget_seconds": 60, "budget_mib": 1.5, "title": "T"}}
    assert read_budget(said, where="x") == {"budget_seconds": 60, "budget_mib": 1.5}


@pytest.mark.parametrize("value", [0, -1, "60", True, float("nan")])
@pytest.mark.parametrize("name", ["budget_seconds", "budget_mib"])
def test_a_budget_that_is_none_is_an_error_that_names_file_and_cure(name, value):
    with pytest.raises(
        NotebookError, match=rf"x\.ipynb: {name} .*positive number.*Write for"
    ):
        read_budget({"coursekit": {name: value}}, where="x.ipynb")
