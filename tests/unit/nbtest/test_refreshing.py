"""What a refreshed notebook stores: what readers see, and nothing that changes by itself."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursekit.errors import NotebookError
from coursekit.nbtest.checking import check_directives, compare_run
from coursekit.nbtest.execution import CellFailure, NotebookRun
from coursekit.nbtest.marks import read_marks
from coursekit.nbtest.memory import PeakMemory
from coursekit.nbtest.refresh import count_changed_lines, format_notebook, renew_outputs
from coursekit.nbtest.source_hash import hash_source, is_stale, read_hash, write_hash
from coursekit.nbtest.tidy import tidy_notebook, tidy_outputs

WIDGET = "application/vnd.jupyter.widget-view+json"


def shown(text):
    return new_output("execute_result", {"text/plain": text}, execution_count=1)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def raised(name="ValueError", words="no"):
    return new_output("error", ename=name, evalue=words, traceback=[f"{name}: {words}"])


def book(*cells):
    """Make a notebook of (source, outputs) pairs."""
    return new_notebook(
        cells=[
            new_code_cell(source, outputs=list(outputs), execution_count=number)
            for number, (source, *outputs) in enumerate(cells, start=1)
        ]
    )


def run_of(notebook, *, failure=None):
    n_cells = len(notebook.cells)
    done = n_cells if failure is None else failure.cell - 1
    return NotebookRun(notebook, n_cells, done, 1.0, PeakMemory(None, "test"), failure)


def renew(stored, fresh, **settings):
    return renew_outputs(stored, run_of(fresh), name="01", **settings)


class TestTidy:
    def test_ids_counts_and_metadata_do_not_depend_on_who_saved_it(self):
        one, two = book(("1 + 1", shown("2")), ("",), ("3", shown("3"))), None
        two = nbformat.from_dict(json.loads(json.dumps(one)))
        for number, cell in enumerate(two.cells):
            cell["id"] = f"x{number}"
            cell.execution_count = 40 + number
            cell.metadata = {"collapsed": True, "execution": {"iopub.status.busy": "2026"}}
            cell.metadata["scrolled"] = "auto"
        two.metadata = {
            "kernelspec": {"display_name": "me", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": "3.12.1"},
            "widgets": {WIDGET: {"state": {}}},
            "vscode": {},
        }
        assert format_notebook(tidy_notebook(one)) == format_notebook(tidy_notebook(two))

    def test_what_people_wrote_into_the_metadata_stays(self):
        notebook = book(("1",))
        notebook.metadata["coursekit"] = {"title": "T", "minutes": 3}
        notebook.cells[0].metadata = {"tags": ["setup"], "coursekit": {"exercise": "01.1"}}
        tidy = tidy_notebook(notebook)
        assert tidy.metadata["coursekit"] == {"title": "T", "minutes": 3}
        assert tidy.cells[0].metadata == notebook.cells[0].metadata

    def test_another_kernel_stays(self):
        notebook = book(("1",))
        notebook.metadata["kernelspec"] = {
            "display_name": "R",
            "language": "R",
            "name": "ir",
        }
        assert tidy_notebook(notebook).metadata["kernelspec"]["name"] == "ir"

    def test_the_notebook_that_is_given_stays_as_it_is(self):
        notebook = book(("1", shown("1")))
        before = json.dumps(notebook, sort_keys=True)
        tidy_notebook(notebook)
        tidy_outputs(notebook.cells[0].outputs)
        assert json.dumps(notebook, sort_keys=True) == before

    def test_cells_without_code_have_no_count(self):
        tidy = tidy_notebook(book(("1",), ("  ",), ("2",)))
        assert [cell.execution_count for cell in tidy.cells] == [1, None, 2]
        assert [cell["id"] for cell in tidy.cells] == ["cell-001", "cell-002", "cell-003"]

    def test_progress_bars_are_not_stored_and_warnings_are(self):
        bar = " 50%|#####     | 1/2 [00:00<00:00,  5.0it/s]"
        widget = new_output(
            "display_data",
            {WIDGET: {"model_id": "a1"}, "text/plain": f"{bar[:4]}|     | 1/2"},
        )
        outputs = [
            printed(f"\r{bar}", "stderr"),
            widget,
            printed("UserWarning: old\n", "stderr"),
        ]
        (kept,) = tidy_outputs(outputs)
        assert kept.text == "UserWarning: old\n"
        assert tidy_outputs([printed(f"\r{bar}\n", "stderr"), widget]) == []

    def test_of_a_widget_its_text_is_stored(self):
        widget = new_output(
            "display_data", {WIDGET: {"model_id": "a1"}, "text/plain": "IntSlider(value=3)"}
        )
        (kept,) = tidy_outputs([widget])
        assert dict(kept.data) == {"text/plain": "IntSlider(value=3)"}

    def test_warnings_without_bars_keep_their_blank_lines(self):
        text = "one\n\n  two\n"
        assert tidy_outputs([printed(text, "stderr")])[0].text == text

    def test_a_traceback_has_neither_colors_nor_folders(self):
        error = new_output(
            "error",
            ename="ValueError",
            evalue="no",
            traceback=[
                "\x1b[31mFile \x1b[32m/home/ada/env/lib/torch/nn.py:3\x1b[0m, in f(x)"
            ],
        )
        assert tidy_outputs([error])[0].traceback == ["File nn.py:3, in f(x)"]
        error.traceback = [
            "File ~/my env/nn.py:3, in f(x)",
            "no file 'C:\\\\Users\\\\ada\\\\x.png'",
        ]
        assert tidy_outputs([error])[0].traceback == [
            "File nn.py:3, in f(x)",
            "no file 'x.png'",
        ]


class TestRenew:
    def test_each_code_cell_gets_the_hash_of_its_source(self):
        new = renew(
            book(("1 + 1",), ("2",)), book(("1 + 1", shown("2")), ("2", shown("2")))
        )
        assert [read_hash(cell) for cell in new.cells] == [
            hash_source("1 + 1"),
            hash_source("2"),
        ]
        assert not any(is_stale(cell) for cell in new.cells)

    def test_a_second_time_changes_no_line(self):
        stored = book(("f()", shown("<A at 0x7f01>")), ("g()", shown("0.12345678")))
        again = book(("f()", shown("<A at 0x7eff>")), ("g()", shown("0.12345679")))
        once = renew(stored, stored)
        assert format_notebook(renew(once, again)) == format_notebook(once)

    def test_what_differs_is_stored_anew(self):
        once = renew(book(("g()", shown("0.5"))), book(("g()", shown("0.5"))))
        twice = renew(once, book(("g()", shown("0.6"))))
        assert twice.cells[0].outputs[0].data["text/plain"] == "0.6"

    def test_the_tolerance_is_that_of_the_cell(self):
        source = "# nbtest: rtol=0.5\ng()"
        once = renew(book((source, shown("0.5"))), book((source, shown("0.5"))))
        twice = renew(once, book((source, shown("0.6"))))
        assert twice.cells[0].outputs[0].data["text/plain"] == "0.5"

    def test_everything_is_stored_anew_when_asked(self):
        once = renew(
            book(("g()", shown("<A at 0x01ab>"))), book(("g()", shown("<A at 0x01ab>")))
        )
        fresh = book(("g()", shown("<A at 0x02cd>")))
        twice = renew(once, fresh, keep_agreeing=False)
        assert twice.cells[0].outputs[0].data["text/plain"] == "<A at 0x02cd>"

    def test_outputs_of_another_source_are_stored_anew_though_they_agree(self):
        once = renew(book(("g()", shown("0.50000"))), book(("g()", shown("0.50000"))))
        once.cells[0].source = "h()"
        fresh = book(("h()", shown("0.50001")))
        twice = renew(once, fresh)
        assert twice.cells[0].outputs[0].data["text/plain"] == "0.50001"
        assert not is_stale(twice.cells[0])

    def test_outputs_that_are_not_compared_stay_while_nothing_above_them_changed(self):
        def make(first, second):
            return book(
                ("f()", shown(first)), ("# NBVAL_IGNORE_OUTPUT\ng()", shown(second))
            )

        once = renew(make("1", "3.2 s"), make("1", "3.2 s"))
        same, other = renew(once, make("1", "4.5 s")), renew(once, make("2", "4.5 s"))
        assert same.cells[1].outputs[0].data["text/plain"] == "3.2 s"
        assert other.cells[1].outputs[0].data["text/plain"] == "4.5 s"

    def test_an_error_that_is_not_expected_is_refused(self):
        notebook = book(("1", shown("1")), ("f()", raised()))
        with pytest.raises(
            NotebookError, match=r"01, code cell 2 shows an error.*raises-exc"
        ):
            renew(notebook, notebook)
        notebook.cells[1].metadata["tags"] = ["raises-exception"]
        assert renew(notebook, notebook).cells[1].outputs[0].ename == "ValueError"

    def test_a_notebook_that_failed_is_refused(self):
        notebook = book(("1",), ("f()",))
        run = run_of(notebook, failure=CellFailure(2, "f()", "NameError: f"))
        with pytest.raises(NotebookError, match=r"code cell 2 failed.*NameError: f"):
            renew_outputs(notebook, run, name="01")

    def test_an_output_over_600_kb_is_refused_with_its_cell_and_the_cure(self):
        big = new_output("display_data", {"image/png": "A" * 600_001})
        notebook = book(("1",), ("show()", big))
        with pytest.raises(
            NotebookError, match=r"code cell 2 .* 600 kB \(image/png\).*JPEG"
        ):
            renew(notebook, notebook)
        fitting = book(("show()", new_output("display_data", {"image/png": "A" * 590_000})))
        assert renew(fitting, fitting)

    def test_the_file_has_sorted_keys_one_space_and_one_line_end(self):
        text = format_notebook(
            renew(book(("1", printed("a\nb\n"))), book(("1", printed("a\nb\n"))))
        )
        assert text.endswith("}\n")
        assert text.startswith('{\n "cells": [\n  {\n   "cell_type"')
        keys = list(json.loads(text)["cells"][0])
        assert keys == sorted(keys)
        assert json.loads(text)["cells"][0]["outputs"][0]["text"] == ["a\n", "b\n"]

    def test_letters_outside_ascii_stay_readable(self):
        notebook = new_notebook(cells=[new_markdown_cell("# 1 · Größe")])
        assert "Größe" in format_notebook(notebook)


class TestHash:
    def test_directives_and_trailing_blanks_do_not_count(self):
        plain = hash_source("x = 1\nx")
        for other in ("# nbtest: rtol=1\nx = 1\nx", "x = 1  \nx\n\n", "#nbval\nx"):
            assert (hash_source(other) == plain) == ("nbval" not in other)

    def test_the_set_up_cell_has_none(self):
        cell = new_code_cell("1", metadata={"tags": ["setup"]})
        write_hash(cell)
        assert read_hash(cell) is None
        assert "coursekit" not in cell.metadata

    def test_other_metadata_stay_beside_it(self):
        cell = new_code_cell("1", metadata={"coursekit": {"exercise": "01.1"}})
        write_hash(cell)
        assert cell.metadata["coursekit"]["exercise"] == "01.1"
        assert not is_stale(cell)
        cell.source = "2"
        assert is_stale(cell)

    def test_a_cell_without_a_hash_or_with_a_strange_one_is_not_stale(self):
        for said in ({}, {"coursekit": 3}, {"coursekit": {"source_sha256": 3}}):
            assert not is_stale(new_code_cell("1", metadata=said))


class TestCompareRun:
    def test_differences_are_told_by_cell(self, tmp_path):
        stored = renew(
            book(("f()", shown("1")), ("g()", shown("2"))),
            book(("f()", shown("1")), ("g()", shown("2"))),
        )
        fresh = book(("f()", shown("1")), ("g()", shown("3")))
        found = compare_run(stored, run_of(fresh), folder=tmp_path, name="01")
        assert list(found) == [2]
        assert "stored 2, fresh 3" in found[2][0].message

    def test_a_cell_that_was_changed_or_never_run_cannot_agree(self, tmp_path):
        stored = renew(
            book(("f()", shown("1")), ("2", shown("2"))),
            book(("f()", shown("1")), ("2", shown("2"))),
        )
        stored.cells[0].source = "f( )"
        stored.cells[1].execution_count = None
        fresh = book(("f( )", shown("1")), ("2", shown("2")))
        found = compare_run(stored, run_of(fresh), folder=tmp_path, name="01")
        assert "another source" in found[1][0].message
        assert "never run" in found[2][0].message

    def test_cells_that_did_not_end_are_not_compared(self, tmp_path):
        stored = renew(
            book(("1", shown("1")), ("2", shown("2"))),
            book(("1", shown("1")), ("2", shown("2"))),
        )
        fresh = book(("1", shown("1")), ("2",))
        run = run_of(fresh, failure=CellFailure(2, "2", "dead"))
        assert compare_run(stored, run, folder=tmp_path, name="01") == {}

    def test_ignored_outputs_are_not_compared(self, tmp_path):
        source = "# NBVAL_IGNORE_OUTPUT\nf()"
        stored = renew(book((source, shown("1"))), book((source, shown("1"))))
        fresh = book((source, shown("2")))
        assert compare_run(stored, run_of(fresh), folder=tmp_path, name="01") == {}

    def test_a_typo_in_a_directive_is_told_before_anything_runs(self):
        with pytest.raises(NotebookError, match=r"01, code cell 2.*rtool"):
            check_directives(book(("1",), ("# nbtest: rtool=1\n2",)), name="01")


@pytest.mark.parametrize(
    ("source", "tags", "expected"),
    [
        ("1", [], (True, False, False)),
        ("# NBVAL_IGNORE_OUTPUT\n1", [], (False, False, False)),
        ("#NBVAL_SKIP  \n1", [], (True, True, False)),
        ("## NBVAL_RAISES_EXCEPTION\n1", [], (True, False, True)),
        ("# PYTEST_VALIDATE_IGNORE_OUTPUT", [], (False, False, False)),
        ("1  # NBVAL_IGNORE_OUTPUT", [], (True, False, False)),
        ("# NBVAL_IGNORE_OUTPUT because", [], (True, False, False)),
        ("1", ["nbval-ignore-output"], (False, False, False)),
        ("1", ["raises-exception", "nbval-skip"], (True, True, True)),
        ("1", "nbval-skip", (True, False, False)),
    ],
)
def test_marks_are_read_as_nbval_reads_them(source, tags, expected):
    marks = read_marks({"source": source, "metadata": {"tags": tags}})
    assert (marks.is_compared, marks.is_skipped, marks.may_raise) == expected


@pytest.mark.parametrize(
    ("before", "after", "n_lines"),
    [
        ("a\nb", "a\nb", 0),
        ("a\nb", "b\na", 0),
        ("a", "a\nb\nc", 2),
        ("a\nb\nc", "c", 2),
        ("a\na", "a", 1),
    ],
)
def test_changed_lines_are_counted(before, after, n_lines):
    assert count_changed_lines(before, after) == n_lines
