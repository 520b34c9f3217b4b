"""The command does what it says, in 80 columns, and an expected error is one message."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.provisioning import local_provisioner

from coursekit import assets, cli
from coursekit.course.lessons import find_lessons

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--version", ["coursekit 0."]),
        (
            "--help",
            ["doctor", "list", "lab", "run", "check", "refresh", "fetch", "address"],
        ),
        ("list", [lesson.number for lesson in find_lessons()]),
        ("fetch", ["11.6 MB", "CC BY-SA"]),
    ],
)
def test_what_is_not_for_copying_fits_into_80_columns(call, words, shown):
    code, out = call(words)
    assert code == 0
    assert [word for word in shown if word not in out] == []
    assert max(len(line) for line in out.splitlines() if os.sep not in line) <= 80


@pytest.mark.parametrize(
    "words",
    [
        *(["fly"], ["run"], ["run", "01", "--profile", "fake"], ["fetch", "digts"]),
        *(["train", "backbones"], ["train", "clip", "--images", "64"]),
        ["address", "https://github.com/you/fork", "--remove"],
    ],
)
def test_a_command_that_is_not_understood_ends_with_2(call, words):
    assert call(*words)[0] == 2


# --- run -------------------------------------------------------------------------------


def test_run_writes_an_executed_copy_and_a_page_and_leaves_the_source(call, here, write):
    source = write("tiny.ipynb", "print('hello')", "6 * 7")
    before = source.read_bytes()
    code, out = call("run", "tiny.ipynb")
    assert code == 0
    assert "2 of 2" in out
    assert source.read_bytes() == before
    executed = nbformat.read(here / "runs" / "tiny.ipynb", as_version=4)
    assert executed.cells[1].outputs[0]["data"]["text/plain"] == "42"
    assert ">42<" in (here / "runs" / "tiny.html").read_text(encoding="utf-8")


def test_a_failing_cell_ends_with_1_and_names_cell_line_and_error(call, here, write):
    write("good.ipynb", "import os\nassert os.environ['COURSEKIT_PROFILE'] == 'real'")
    write("bad.ipynb", "x = [1]", "x[3]  # too far", "2")
    write("slow.ipynb", "import time\ntime.sleep(60)")
    names = ("bad.ipynb", "slow.ipynb", "good.ipynb")
    code, out = call("run", *names, "--profile", "real", "--timeout", "5")
    assert code == 1
    assert "longer than 5 seconds" in out
    assert "bad failed, code cell 2 of 3:" in out
    assert "x[3]  # too far" in out
    assert "IndexError: list index out of range" in out
    assert "1 of 1" in out, "the other lesson still runs"
    assert (here / "runs" / "bad.html").is_file()


def test_what_cannot_be_run_is_told_before_anything_runs(call, here, write):
    source = write("good.ipynb", "1")
    before = source.read_bytes()
    (here / "bad.ipynb").write_text("{}")
    (here / "in the way").write_text("")
    for words, wanted, said in [
        (["99"], 2, "'99'"),
        (["--output", "."], 2, "would write over good.ipynb itself"),
        (["bad.ipynb"], 1, "bad.ipynb"),
        (["--output", "in the way"], 1, "in the way"),
    ]:
        code, error = call("run", "good.ipynb", *words)
        assert code == wanted
        assert said in error
    assert source.read_bytes() == before


def press_ctrl_c_when_launched(monkeypatch, here):
    """The kernel's process is there, and nobody knows of it yet."""
    launch = local_provisioner.launch_kernel

    def launch_and_press(*args, **options):
        process = launch(*args, **options)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(local_provisioner, "launch_kernel", launch_and_press)


def press_ctrl_c_in_the_cell(monkeypatch, here):
    def press():
        while not (here / "started").is_file():
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


@pytest.mark.parametrize("press", [press_ctrl_c_when_launched, press_ctrl_c_in_the_cell])
def test_ctrl_c_leaves_no_kernel_behind(call, here, monkeypatch, press, write):
    write("slow.ipynb", "open('started', 'w').close()\nimport time\ntime.sleep(60)")
    press(monkeypatch, here)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert call("run", "slow.ipynb")[0] == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    kernels = psutil.Process().children(recursive=True)
    assert [kernel for kernel in kernels if "ipykernel_launcher" in kernel.cmdline()] == []


# --- fetch and train -------------------------------------------------------------------


def test_what_is_there_is_counted_and_the_rest_goes_on(call, monkeypatch, here):
    assert "Did you mean 'digits'" in call("fetch", "digts")[1]
    code, out = call("fetch", "insects", "land-cover")
    assert code == 1
    assert out.count("not there:") == 2
    assert "0 of 2 there" in out
    monkeypatch.setattr("coursekit.assets.fetch", lambda name: here / name)
    n_assets = len(assets.read_registry())
    assert f"{n_assets} of {n_assets} there" in call("fetch", "--all")[1]


def test_train_follows_the_shipped_recipe_unless_told_otherwise(call, here, monkeypatch):
    from coursekit.recipes import backbone

    def fake(folder, recipe):
        recipes.append(recipe)
        weights = folder / "w.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"weights")
        return weights, {"shape": 0.5, "color": 0.25}

    recipes, shipped = [], here / "weights" / "w.safetensors"
    shipped.parent.mkdir()
    shipped.write_bytes(b"others")
    monkeypatch.setattr("coursekit.assets.data_folder", lambda: here)
    monkeypatch.setattr(backbone, "train", fake)
    _, out = call("train", "backbone")
    assert "shape 50.0 %, color 25.0 %" in out
    assert "Other bytes than the course ships" in out
    shipped.write_bytes(b"weights")
    words = ("--images", "600", "--epochs", "2", "--seed", "3", "--output", "there")
    assert "Byte for byte what the course ships" in call("train", "backbone", *words)[1]
    assert (here / "there" / "w.safetensors").is_file()
    wanted = {"n_images": 600, "n_epochs": 2, "seed": 3}
    assert recipes == [backbone.RECIPE, replace(backbone.RECIPE, **wanted)]


# --- lab -------------------------------------------------------------------------------


def test_in_a_checkout_lab_opens_the_notebooks_where_they_are(call, monkeypatch):
    started = []
    monkeypatch.setattr(cli.subprocess, "call", lambda words: started.append(words) or 0)
    assert call("lab")[0] == 0
    assert started == [[sys.executable, "-m", "jupyterlab", str(ROOT / "notebooks")]]


def test_installed_lessons_are_copied_once_and_never_over_a_learners_work(here, write):
    shipped, target = here / "_shipped" / "notebooks", here / "notebooks"
    (shipped / "solutions").mkdir(parents=True)
    write(shipped / "01_a.ipynb", "1")
    write(shipped / "solutions" / "01_a.ipynb", "2")
    assert cli.working_folder(shipped, target=target) == target
    (target / "01_a.ipynb").write_text("my work")
    cli.working_folder(shipped, target=target)
    assert (target / "01_a.ipynb").read_text() == "my work"
    assert (target / "solutions" / "01_a.ipynb").is_file()


# --- address ---------------------------------------------------------------------------


def test_one_command_sets_the_address_and_one_takes_it_out(call, here):
    code, error = call("address")
    assert code == 1
    assert "Clone the repository" in error
    settings = here / "pyproject.toml"
    before = '[project]\nname = "coursekit"\n\n[project.urls]\n'
    settings.write_text(before)
    (here / "README.md").write_text((ROOT / "README.md").read_text(encoding="utf-8"))
    (here / "notebooks").mkdir()
    assert call("address", "not an address")[0] == 2
    assert settings.read_text() == before
    code, out = call("address", "https://github.com/you/fork")
    assert code == 0
    assert "Written: pyproject.toml" in out
    assert "https://github.com/you/fork" in settings.read_text()
    assert "Written" not in call("address")[1]
    assert call("address", "--remove")[0] == 0
    assert "github" not in settings.read_text()
