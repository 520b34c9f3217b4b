"""`coursekit check` and `coursekit refresh`: what they print, write, and end with."""

import nbformat
import pytest

from coursekit.cli.notebooks import choose_notebooks
from coursekit.course.lessons import find_lessons
from coursekit.errors import SettingsError


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
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass",
        "import json\njson.loads('')",
        tags={3: ["nbtest:costs"], 5: ["raises-exception"]},
    )
    code, out = call("refresh", "a.ipynb")
    assert code == 0
    assert "5/5" in out
    first = path.read_bytes()
    cells = nbformat.reads(first, as_version=4).cells
    assert cells[0].outputs[0].data["text/plain"] == "42"
    assert cells[3].outputs == []
    assert b"widget" not in first
    (error,) = cells[4].outputs
    assert error.ename == "JSONDecodeError"
    assert str(here) not in "".join(error.traceback)
    assert "nothing changed since" in call("refresh", "a.ipynb")[1]
    assert call("refresh", "a.ipynb", "--all")[0] == 0
    assert path.read_bytes() == first
    assert sorted(file.name for file in here.iterdir()) == ["a.ipynb"]


def test_check_shows_what_differs_and_the_command_that_mends_it(call, here, write):
    path = write("a.ipynb", "n = 6", "n * 7")
    call("refresh", "a.ipynb")
    before = path.read_bytes()
    code, out = call("check", "a.ipynb")
    assert (code, path.read_bytes()) == (0, before)
    assert "as stored" in out
    change(path, '"42"', '"43"')
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "a, code cell 2 (cell-002):" in out
    assert "stored 43, fresh 42" in out
    assert "1 differ" in out
    assert "coursekit refresh a.ipynb" in out


def test_a_failing_lesson_ends_both_with_1_and_the_next_one_is_done(call, write):
    bad, good = write("a.ipynb", "1", "1 / 0", "3"), write("b.ipynb", "1")
    before = bad.read_bytes()
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "a failed, code cell 2 of 3:" in out
    code, out = call("refresh", "a.ipynb", "b.ipynb")
    assert code == 1
    assert "Not stored: a, code cell 2, on the machine 'reference' failed" in out
    assert bad.read_bytes() == before
    assert nbformat.read(good, as_version=4).cells[0].outputs


@pytest.mark.parametrize(
    ("setting", "value", "stored", "said"),
    [
        ("PROFILE", "real", "embedded", "Not compared"),
        ("ROLE_DIGITS", ".", "", "Not compared"),
        ("DEVICE", "cuda", "cpu", "Only words were compared"),
    ],
)
def test_where_other_numbers_are_right_they_are_not_compared(
    call, monkeypatch, write, setting, value, stored, said
):
    source = f"import os\nprint(len(os.environ.get('COURSEKIT_{setting}', '')))"
    path = write("a.ipynb", source)
    monkeypatch.setenv(f"COURSEKIT_{setting}", value)
    call("refresh", "a.ipynb")
    assert f'"{len(stored)}\\n"' in path.read_text(), "embedded data, on the CPU"
    code, out = call("check", "a.ipynb")
    assert code == 0
    assert said in out
    write("a.ipynb", "assert False, 'too low'")
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "AssertionError: too low" in out


@pytest.mark.parametrize("command", ["check", "refresh"])
def test_what_cannot_be_tested_is_told_before_anything_runs(call, here, write, command):
    write("a.ipynb", "open('ran', 'w').close()", "# nbtest: cost\n1")
    code, out = call(command, "a.ipynb")
    assert code == 1
    assert "code cell 2: '# nbtest: cost'" in out
    (here / "b.ipynb").write_text('{"nbformat": 3, "metadata": {}, "worksheets": []}')
    assert "of format 3" in call(command, "b.ipynb")[1]
    assert call(command, "99")[0] == 2
    assert not (here / "ran").exists()


def test_without_names_all_lessons_and_their_solutions_are_meant(here, write):
    chosen = choose_notebooks([])
    assert {lesson.name for lesson in find_lessons()} <= set(chosen)
    assert "solutions/01_convolutions" in chosen
    assert list(choose_notebooks(["01", "01_convolutions"])) == ["01_convolutions"]
    (here / "b").mkdir()
    paths = [str(write(name, "1")) for name in ("a.ipynb", "b/a.ipynb")]
    with pytest.raises(SettingsError, match="Two of the notebooks have one name"):
        choose_notebooks(paths)


def test_several_machines_and_jobs_give_ranges_that_check_uses(call, here, write):
    is_old = "import os\nis_old = 'MKL_CBWR' in os.environ\n"
    path = write("a.ipynb", f"{is_old}print('loss', 0.5 + 0.01 * is_old)")
    words = write("b.ipynb", f"{is_old}print('old' if is_old else 'new')")
    before = words.read_bytes()
    code, out = call("refresh", "a.ipynb", "b.ipynb", "--runs", "4", "--jobs", "2")
    assert code == 1
    assert "8/8" in out
    assert "Stored: a, 1 numbers, of which 1 moved, at most by 2.0% (code cell 1)" in out
    assert "'MKL and OpenBLAS old, jitter 3' (fresh)" in out
    assert "stored 'new', fresh 'old'" in out
    assert words.read_bytes() == before, "words must be the same on all machines"
    (cell,) = nbformat.read(path, as_version=4).cells
    assert cell.metadata["coursekit"]["ranges"] == {"0": "0 0.01"}
    change(path, "loss 0.5", "loss 0.51")
    assert call("check", "a.ipynb", "--jobs", "2")[0] == 0
    change(path, "loss 0.51", "loss 0.53")
    code, out = call("check", "a.ipynb")
    assert code == 1
    assert "measured 0.53 to 0.54" in out
