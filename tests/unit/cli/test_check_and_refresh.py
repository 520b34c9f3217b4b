"""`coursekit check` and `coursekit refresh`: what they print, write, and end with."""

import nbformat
import pytest

from coursekit.cli.notebooks import choose_notebooks, embedded_settings
from coursekit.course.lessons import find_lessons


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_refresh_stores_what_is_shown_and_a_second_time_changes_nothing(call, here, write):
    path = write(
        "a.ipynb",
        "6 * 7",
        "object()",
        "import time\nprint(f'{time.perf_counter()} s')",
        tags={3: ["nbtest:costs"]},
    )
    code, out = call("refresh", "a.ipynb")
    assert code == 0
    assert "3/3" in out
    first = path.read_bytes()
    stored = nbformat.reads(first, as_version=4)
    assert stored.cells[0].outputs[0].data["text/plain"] == "42"
    assert stored.cells[0].id == "cell-001"
    assert "nothing changed since" in call("refresh", "a.ipynb")[1]
    assert call("refresh", "a.ipynb", "--all")[0] == 0
    assert path.read_bytes() == first
    assert sorted(file.name for file in here.iterdir()) == ["a.ipynb"]


def test_check_shows_what_differs_and_the_command_that_mends_it(call, here, write):
    path = write("a.ipynb", "n = 6", "n * 7")
    call("refresh", "a.ipynb")
    change(path, '"42"', '"43"')
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "a, code cell 2 (cell-002):" in out
    assert "stored 43, fresh 42" in out
    assert "1 differ" in out
    assert "coursekit refresh a.ipynb" in out
    assert call("refresh", "a.ipynb")[0] == 0
    before = path.read_bytes()
    code, out = call("check", "a.ipynb")
    assert code == 0
    assert "as stored" in out
    assert path.read_bytes() == before


def test_check_does_not_pass_what_was_never_run_or_has_changed_since(call, here, write):
    path = write("a.ipynb", "1")
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "never run" in out
    call("refresh", "a.ipynb")
    change(path, '"source": [\n    "1"', '"source": [\n    "1 "')
    assert call("check", "a.ipynb")[0] == 0, "a blank at the end changes nothing"
    change(path, '"source": [\n    "1 "', '"source": [\n    "1 + 0"')
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "another source" in out


def test_a_failing_cell_ends_both_with_1_and_nothing_is_stored(call, here, write):
    path = write("a.ipynb", "1", "1 / 0", "3")
    before = path.read_bytes()
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "a failed, code cell 2 of 3:" in out
    assert "ZeroDivisionError" in out
    code, out = call("refresh", "a.ipynb")
    assert code == 1
    assert "Not stored: a, code cell 2, on the machine 'reference' failed" in out
    assert path.read_bytes() == before


def test_refresh_goes_on_with_the_next_lesson(call, here, write):
    write("a.ipynb", "1 / 0")
    good = write("b.ipynb", "1")
    assert call("refresh", "a.ipynb", "b.ipynb")[0] == 1
    assert nbformat.read(good, as_version=4).cells[0].outputs


def test_an_expected_error_is_stored_without_folders_of_this_machine(call, here, write):
    source = "import json\njson.loads('')"
    path = write("a.ipynb", source, tags={1: ["raises-exception"]})
    assert call("refresh", "a.ipynb")[0] == 0
    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert output.ename == "JSONDecodeError"
    assert "/" not in "".join(output.traceback).replace("0/", "")
    assert call("check", "a.ipynb")[0] == 0
    first = path.read_bytes()
    assert call("refresh", "a.ipynb")[0] == 0
    assert path.read_bytes() == first


def test_progress_bars_are_not_stored(call, here, write):
    path = write(
        "a.ipynb",
        "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    pass",
        "from tqdm.auto import trange\nfor _ in trange(3):\n    pass",
    )
    assert call("refresh", "a.ipynb")[0] == 0
    assert [cell.outputs for cell in nbformat.read(path, as_version=4).cells] == [[], []]
    assert "widget" not in path.read_text(encoding="utf-8")


def test_on_real_data_only_errors_count(call, here, write):
    path = write("a.ipynb", "import os", "os.environ['COURSEKIT_PROFILE']")
    call("refresh", "a.ipynb")
    assert "'embedded'" in path.read_text(encoding="utf-8")
    code, out = call("check", "a.ipynb", "--profile", "real")
    assert code == 0
    assert "Not compared" in out
    write("a.ipynb", "assert False, 'too low'")
    code, out = call("check", "a.ipynb", "--profile", "real")
    assert code == 1
    assert "AssertionError: too low" in out


def test_with_own_files_only_errors_count_and_refresh_does_not_use_them(
    call, here, monkeypatch, write
):
    path = write(
        "a.ipynb", "import os", "os.environ.get('COURSEKIT_ROLE_DIGITS') or 'none'"
    )
    monkeypatch.setenv("COURSEKIT_ROLE_DIGITS", str(here))
    assert call("refresh", "a.ipynb")[0] == 0
    assert "'none'" in path.read_text(encoding="utf-8")
    code, out = call("check", "a.ipynb")
    assert code == 0
    assert "Not compared" in out


def test_a_directive_with_a_typo_is_told_before_anything_runs(call, here, write):
    write("a.ipynb", "open('ran', 'w').close()", "# nbtest: cost\n1")
    for command in ("check", "refresh"):
        code, out = call(command, "a.ipynb")
        assert code == 1
        assert "code cell 2" in out
        assert "cost" in out
    assert not (here / "ran").exists()


@pytest.mark.parametrize("command", ["check", "refresh"])
def test_what_is_no_notebook_is_told(call, here, command):
    (here / "a.ipynb").write_text('{"nbformat": 3, "metadata": {}, "worksheets": []}')
    code, out = call(command, "a.ipynb")
    assert code == 1
    assert "of format 3" in out


def test_a_lesson_that_is_not_there_ends_with_2(call):
    code, out = call("check", "99")
    assert code == 2
    assert "Lessons here" in out


def test_without_names_all_lessons_and_their_solutions_are_meant():
    chosen = choose_notebooks([])
    assert {lesson.name for lesson in find_lessons()} <= set(chosen)
    assert "solutions/01_convolutions" in chosen
    assert list(choose_notebooks(["01", "01_convolutions"])) == ["01_convolutions"]


def test_kernels_that_are_compared_get_embedded_data_and_the_cpu(here, monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROFILE", "real")
    monkeypatch.setenv("COURSEKIT_ROLE_LAND_COVER", "x")
    assert embedded_settings() == {
        "COURSEKIT_PROFILE": "embedded",
        "COURSEKIT_DEVICE": "cpu",
        "COURSEKIT_ROLE_LAND_COVER": "",
    }


def test_several_machines_and_jobs_give_ranges_that_check_uses(call, here, write):
    source = "import os\nprint('loss', 0.5 + 0.01 * ('MKL_CBWR' in os.environ))"
    path = write("a.ipynb", source)
    code, out = call("refresh", "a.ipynb", "--runs", "4", "--jobs", "2")
    assert code == 0
    assert "4/4" in out
    (cell,) = nbformat.read(path, as_version=4).cells
    assert cell.metadata["coursekit"]["ranges"] == {"0": "0 0.01"}
    change(path, "loss 0.5", "loss 0.51")
    assert call("check", "a.ipynb", "--jobs", "2")[0] == 0
    change(path, "loss 0.51", "loss 0.53")
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "measured 0.53 to 0.54" in out


def test_words_that_differ_between_machines_are_refused_with_both(call, here, write):
    source = "import os\nprint('new' if 'MKL_CBWR' in os.environ else 'old')"
    path = write("a.ipynb", source)
    before = path.read_bytes()
    code, out = call("refresh", "a.ipynb", "--runs", "4")
    assert code == 1
    assert "'MKL and OpenBLAS old, jitter 3' (fresh)" in out
    assert "stored 'old', fresh 'new'" in out
    assert path.read_bytes() == before


def test_on_a_gpu_only_words_are_compared(call, here, monkeypatch, write):
    write("a.ipynb", "print('loss', 0.5)")
    call("refresh", "a.ipynb")
    change(here / "a.ipynb", "loss 0.5", "loss 0.9")
    monkeypatch.setenv("COURSEKIT_DEVICE", "cuda")
    code, out = call("check", "a.ipynb")
    assert code == 0
    assert "Only words were compared" in out


def test_only_what_changed_is_run_again(call, here, monkeypatch, write):
    package, data = here / "package", here / "data"
    for folder in (package, data):
        folder.mkdir()
    code = package / "__init__.py"
    code.write_text("x = 1\n")
    monkeypatch.setattr("coursekit.__file__", str(code))
    monkeypatch.setattr("coursekit.assets.data_folder", lambda: data)
    path = write("a.ipynb", "1")
    call("refresh", "a.ipynb")

    def is_run_again():
        return "nothing changed" not in call("refresh", "a.ipynb")[1]

    assert not is_run_again()
    code.write_text("# why\nx = 1\n")
    assert not is_run_again()
    code.write_text("x = 2\n")
    assert is_run_again()
    (data / "table.csv").write_text("1")
    assert is_run_again()
    change(path, '"source": [\n    "1"', '"source": [\n    "1 + 1"')
    assert is_run_again()
    assert not is_run_again()
