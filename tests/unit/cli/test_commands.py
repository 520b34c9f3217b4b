"""The command does what it says, in 80 columns, and shows no bare traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from coursekit.assets import asset_names
from coursekit.cli import app
from coursekit.course.lessons import find_lessons

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "coursekit.cli"]


def test_help_lists_the_commands(call):
    code, out = call("--help")
    assert code == 0
    for name in ("doctor", "list", "lab", "run", "fetch", "address"):
        assert f"  {name} " in out


@pytest.mark.parametrize("words", [["--help"], ["list"], ["fetch"]])
def test_what_is_not_for_copying_fits_into_80_columns(call, words):
    lines = [line for line in call(*words)[1].splitlines() if os.sep not in line]
    assert max(map(len, lines)) <= 80


def test_the_version_is_shown(call):
    assert call("--version")[1].startswith("coursekit 0.")


@pytest.mark.parametrize("words", [["fly"], ["run"], ["run", "01", "--profile", "fake"]])
def test_a_command_that_is_not_understood_ends_with_2(call, words):
    assert call(*words)[0] == 2


def test_help_loads_neither_torch_nor_jupyter():
    code = (
        "import sys\nfrom coursekit.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'matplotlib', 'nbclient', 'nbconvert', 'numpy', 'pandas'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "HEAVY []" in done.stdout, done.stderr


def test_list_shows_every_lesson(call):
    _, out = call("list")
    for lesson in find_lessons():
        assert lesson.number in out


class TestRun:
    def test_it_writes_an_executed_copy_and_a_page_and_leaves_the_source(
        self, call, here, write
    ):
        source = write("tiny.ipynb", "print('hello')", "6 * 7")
        before = source.read_bytes()
        code, out = call("run", "tiny.ipynb")
        assert code == 0
        assert "2 of 2" in out
        assert "passed" in out
        assert source.read_bytes() == before
        executed = nbformat.read(here / "runs" / "tiny.ipynb", as_version=4)
        assert executed.cells[1].outputs[0]["data"]["text/plain"] == "42"
        assert ">42<" in (here / "runs" / "tiny.html").read_text(encoding="utf-8")
        assert sorted(path.name for path in (here / "runs").iterdir()) == [
            "tiny.html",
            "tiny.ipynb",
        ]

    def test_a_failing_cell_ends_with_1_and_names_cell_line_and_error(
        self, call, here, write
    ):
        write("good.ipynb", "1")
        write("bad.ipynb", "x = [1]", "x[3]  # too far", "2")
        code, out = call("run", "bad.ipynb", "good.ipynb")
        assert code == 1
        assert "bad failed, code cell 2 of 3:" in out
        assert "x[3]  # too far" in out
        assert "IndexError: list index out of range" in out
        assert "1 of 1" in out, "the other lesson still runs"
        assert (here / "runs" / "bad.html").is_file()

    def test_the_profile_reaches_the_kernel(self, call, here, write):
        write("p.ipynb", "import os\nassert os.environ['COURSEKIT_PROFILE'] == 'real'")
        assert call("run", "p.ipynb", "--profile", "real")[0] == 0

    def test_the_time_out_is_told(self, call, here, write):
        write("slow.ipynb", "import time\ntime.sleep(60)")
        code, out = call("run", "slow.ipynb", "--timeout", "1")
        assert code == 1
        assert "longer than 1 seconds" in out

    def test_an_unknown_lesson_ends_with_2_before_anything_runs(self, call, here, write):
        write("good.ipynb", "1")
        code, error = call("run", "good.ipynb", "99")
        assert code == 2
        assert "'99'" in error
        assert not (here / "runs").exists()

    def test_a_file_that_is_no_notebook_is_named(self, call, here):
        (here / "bad.ipynb").write_text("{}")
        code, error = call("run", "bad.ipynb")
        assert code == 1
        assert "bad.ipynb" in error

    def test_an_output_folder_that_is_a_file_is_told(self, call, here, write):
        write("good.ipynb", "1")
        (here / "runs").write_text("in the way")
        code, error = call("run", "good.ipynb")
        assert code == 1
        assert "runs" in error

    def test_a_source_or_another_result_is_never_written_over(self, call, here, write):
        source = write("a.ipynb", "1")
        (here / "b").mkdir()
        write(here / "b" / "a.ipynb", "2")
        before = source.read_bytes()
        code, error = call("run", "a.ipynb", "--output", ".")
        assert code == 2
        assert "would write over a.ipynb itself" in error
        code, error = call("run", "a.ipynb", "b/a.ipynb")
        assert code == 2
        assert "Two of the notebooks are named a.ipynb" in error
        assert source.read_bytes() == before
        assert not (here / "runs").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
    @pytest.mark.parametrize("wait_for", ["kernel", "cell"])
    def test_ctrl_c_leaves_no_kernel_behind(self, here, wait_for, write):
        write("slow.ipynb", "open('started', 'w').close()\nimport time\ntime.sleep(60)")
        process = subprocess.Popen(
            [*COMMAND, "run", "slow.ipynb"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=heed_ctrl_c,
        )
        try:
            kernels = wait_until(
                lambda: psutil.Process(process.pid).children(recursive=True)
            )
            if wait_for == "cell":
                wait_until((here / "started").is_file)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 130
        assert b"Traceback" not in error
        _, alive = psutil.wait_procs(kernels, timeout=5)
        assert alive == []


def heed_ctrl_c():
    """Undo that a shell makes programs in its background ignore the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(find):
    for _ in range(600):
        if found := find():
            return found
        time.sleep(0.05)
    raise TimeoutError


class TestErrors:
    def test_debug_shows_the_traceback(self, here):
        done = subprocess.run(
            [*COMMAND, "run", "99", "--debug"], capture_output=True, text=True
        )
        assert "Traceback" in done.stderr
        assert "SettingsError" in done.stderr

    def test_an_unexpected_error_is_one_message_that_names_debug(self, call, monkeypatch):
        def break_down():
            raise KeyError("surprise")

        monkeypatch.setattr("coursekit.course.lessons.find_lessons", break_down)
        code, error = call("list")
        assert code == 1
        assert "KeyError" in error
        assert "--debug" in error


class TestFetch:
    def test_without_arguments_it_shows_sizes_and_licenses(self, call):
        code, out = call("fetch")
        assert code == 0
        assert "11.1 MiB" in out
        assert "CC BY-SA" in out

    def test_an_unknown_role_gets_a_suggestion(self, call):
        code, error = call("fetch", "digts")
        assert code == 2
        assert "Did you mean 'digits'" in error

    def test_what_cannot_be_had_is_told_and_the_rest_goes_on(self, call):
        code, out = call("fetch", "insects", "land-cover")
        assert code == 1
        assert out.count("not there:") == 2
        assert "0 of 2 there" in out

    def test_what_is_there_is_counted(self, call, monkeypatch, here):
        monkeypatch.setattr("coursekit.assets.fetch", lambda name: here / name)
        code, out = call("fetch", "--all")
        assert code == 0
        n_assets = len(asset_names())
        assert f"{n_assets} of {n_assets} there" in out


class TestLab:
    def test_in_a_checkout_it_opens_the_notebooks_where_they_are(self, call, monkeypatch):
        started = []
        monkeypatch.setattr(
            app.subprocess, "call", lambda words: started.append(words) or 0
        )
        assert call("lab")[0] == 0
        assert started == [[sys.executable, "-m", "jupyterlab", str(ROOT / "notebooks")]]

    def test_installed_lessons_are_copied_once_and_never_over_a_learners_work(
        self, here, write
    ):
        shipped = here / "_shipped" / "notebooks"
        (shipped / "solutions").mkdir(parents=True)
        write(shipped / "01_a.ipynb", "1")
        write(shipped / "solutions" / "01_a.ipynb", "2")
        target = here / "notebooks"
        assert app.working_folder(shipped, target=target) == target
        (target / "01_a.ipynb").write_text("my work")
        app.working_folder(shipped, target=target)
        assert (target / "01_a.ipynb").read_text() == "my work"
        assert (target / "solutions" / "01_a.ipynb").is_file()


class TestAddress:
    @pytest.fixture
    def fork(self, here):
        (here / "pyproject.toml").write_text(
            '[project]\nname = "coursekit"\n[project.urls]\n'
        )
        (here / "README.md").write_text((ROOT / "README.md").read_text(encoding="utf-8"))
        (here / "notebooks").mkdir()
        return here

    def test_one_command_sets_it_and_one_takes_it_out(self, call, fork):
        code, out = call("address", "https://github.com/you/fork")
        assert code == 0
        assert "pyproject.toml" in out
        assert "https://github.com/you/fork" in (fork / "pyproject.toml").read_text()
        assert call("address", "--remove")[0] == 0
        assert "github" not in (fork / "pyproject.toml").read_text()

    def test_without_an_address_it_writes_what_is_generated(self, call, fork):
        call("address")
        assert "already" in call("address")[1]

    def test_an_address_and_a_removal_exclude_each_other(self, call, fork):
        assert call("address", "https://github.com/you/fork", "--remove")[0] == 2

    def test_what_is_no_address_changes_nothing(self, call, fork):
        before = (fork / "pyproject.toml").read_text()
        assert call("address", "not an address")[0] == 2
        assert (fork / "pyproject.toml").read_text() == before

    def test_outside_a_checkout_it_says_where_to_go(self, call):
        code, error = call("address")
        assert code == 1
        assert "Clone the repository" in error
