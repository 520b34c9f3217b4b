"""The ``coursekit`` command: its subcommands, and what becomes of errors.

main
    What the command runs.

What runs notebooks or looks at the machine stands in a file of its own. All is imported when it
is called, so that ``coursekit --help`` loads neither torch nor Jupyter.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from typing import Annotated

from typer import Argument, Exit, Option, Typer

from coursekit import __version__
from coursekit.errors import AssetError, CourseError, SettingsError, did_you_mean

__all__ = ["main"]


def _exit(code: int | None, **_: object) -> None:
    raise Exit(code or 0)


_app = Typer(
    name="coursekit",
    help="A computer-vision course whose every lesson runs offline and is a test.",
    result_callback=_exit,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_Profile = StrEnum("_Profile", ["EMBEDDED", "REAL"])
_Recipe = StrEnum("_Recipe", ["BACKBONE", "CLIP"])

_NAMES = "Numbers such as 01, file names or paths"
_Lesson = Annotated[str | None, Argument(help="A number such as 01, or a path.")]
_Some = Annotated[list[str], Argument(help=f"{_NAMES}.")]
_Lessons = Annotated[list[str] | None, Argument(help=f"{_NAMES}; all by default.")]
_Roles = Annotated[list[str] | None, Argument(help="Roles such as digits, or asset names.")]
_Trained = Annotated[_Recipe, Argument(help="What to train.")]
_Url = Annotated[str | None, Argument(help="https address of your repository.")]
_Chosen = Annotated[_Profile | None, Option(help="By default COURSEKIT_PROFILE.")]
_Timeout = Annotated[float, Option(help="Seconds that one cell may take.", min=1)]
_Jobs = Annotated[int, Option(help="Kernels at a time.", min=1)]
_Runs = Annotated[int, Option(help="Emulated machines; 1 makes a draft.", min=1, max=9)]
_Pages = Annotated[Path, Option(help="Folder for executed notebooks and pages.")]
_Weights = Annotated[Path, Option(help="Folder for weights, card and log.")]
# The larger of the recipes' batches holds 512.
_Images = Annotated[int | None, Option(help="Fewer for a trial.", min=512)]
_Epochs = Annotated[int | None, Option(help="Epochs.", min=1)]
_Seed = Annotated[int | None, Option(help="Of everything.", min=0)]
_All = Annotated[bool, Option("--all", help="Everything, not only what is needed.")]
_Remove = Annotated[bool, Option("--remove", help="Take it out.")]
_Version = Annotated[bool, Option("--version", help="Show the version.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was typed, or `arguments`; an expected error becomes one message.

    The exit code is 0 when all went well, 1 when something failed, 2 when the command was not
    understood, 130 after Ctrl-C. An error that nobody expected keeps its traceback.
    """
    try:
        _app(arguments, prog_name="coursekit")
    except (CourseError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


@_app.callback(invoke_without_command=True)
def _options(version: _Version = False) -> None:
    if version:
        print(f"coursekit {__version__}")


@_app.command("doctor")  # coursekit.cli.doctor is the file
def doctor_() -> int:
    """Say what works here, what does not, and how to mend it."""
    from coursekit.cli.doctor import run_doctor

    return run_doctor()


@_app.command("list")
def list_() -> None:
    """List the lessons."""
    from rich.console import Console
    from rich.table import Table

    from coursekit.course.lessons import find_lessons

    table = Table("", "Lesson", "Minutes", "Data and models")
    for lesson in find_lessons():
        needs = ", ".join(lesson.roles)
        table.add_row(lesson.number, lesson.title, f"{lesson.minutes}", needs)
    Console().print(table)
    print("Run one: coursekit run 01\nWork in one: coursekit lab 01")


@_app.command()
def lab(lesson: _Lesson = None) -> int:
    """Open the lessons in JupyterLab."""
    from coursekit.assets import notebooks_folder
    from coursekit.course.lessons import find_lesson

    shipped = notebooks_folder()
    path = find_lesson(lesson).path if lesson else shipped
    folder = working_folder(shipped, target=Path("notebooks"))
    if path.is_relative_to(shipped):
        path = folder / path.relative_to(shipped)
    print(f"JupyterLab opens {path}. Ctrl-C here ends it.", flush=True)
    # One interpreter for the server and its kernels: this one.
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(path)])


def working_folder(shipped: Path, *, target: Path) -> Path:
    """Return the folder of notebooks to work in: `shipped` itself in a checkout, else `target`.

    Lessons that came in a wheel lie among the installed packages, where the next upgrade would
    throw a learner's work away: they are copied, and a file that is there already stays.
    """
    if shipped.parent.name != "_shipped":
        return shipped
    for source in sorted(shipped.rglob("*.ipynb")):
        copy = target / source.relative_to(shipped)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copyfile(source, copy)
    return target


@_app.command()
def run(
    lessons: _Some,
    profile: _Chosen = None,
    timeout: _Timeout = 600,
    output: _Pages = Path("runs"),
) -> int:
    """Execute copies of lessons; write notebooks and HTML pages into ./runs/."""
    from coursekit.cli.notebooks import run_lessons

    return run_lessons(lessons, profile=profile, timeout=timeout, output=output)


@_app.command()
def check(
    lessons: _Lessons = None,
    profile: _Chosen = None,
    timeout: _Timeout = 600,
    jobs: _Jobs = 1,
) -> int:
    """Run lessons and compare what they show with what is stored."""
    from coursekit.cli.notebooks import check_lessons

    return check_lessons(lessons or [], profile=profile, timeout=timeout, jobs=jobs)


@_app.command()
def refresh(
    lessons: _Lessons = None,
    all_: _All = False,
    timeout: _Timeout = 600,
    jobs: _Jobs = 1,
    runs: _Runs = 9,
) -> int:
    """Run lessons on emulated machines; store what they show and how far it moves."""
    from coursekit.cli.notebooks import refresh_lessons

    return refresh_lessons(lessons or [], all_, timeout=timeout, jobs=jobs, runs=runs)


@_app.command()
def fetch(roles: _Roles = None, all_: _All = False) -> int:
    """Download the files of the real profile, each checked."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from coursekit import assets

    known = list(assets.read_registry().values())
    sizes = {a.name: decimal(a.n_bytes) if a.n_bytes else "size unknown" for a in known}
    if not roles and not all_:
        table = Table("Role", "Data", "Size", "License", "Here")
        for asset in known:
            here = "yes" if assets.find_file(asset.name) else "no"
            table.add_row(asset.role, asset.title, sizes[asset.name], asset.license, here)
        Console().print(table)
        print("Fetch some: coursekit fetch ROLE, or all: coursekit fetch --all")
        return 0
    words = dict.fromkeys(word for asset in known for word in (asset.role, asset.name))
    for role in {*(roles or ())} - {*words}:
        guess, names = did_you_mean(role, words), ", ".join(words)
        raise SettingsError(
            f"There is nothing to fetch for {role!r}.{guess} There is: {names}."
        )
    chosen = [a for a in known if all_ or {a.role, a.name} & {*roles}]
    n_there = 0
    for asset in chosen:
        print(
            f"{asset.role}: {asset.title}, {sizes[asset.name]}. License: {asset.license}."
        )
        try:
            print(f"  {assets.fetch(asset.name)}")
            n_there += 1
        except AssetError as error:
            print(f"  not there: {error}")
    print(f"{n_there} of {len(chosen)} there, in {assets.cache_folder()}")
    return int(n_there < len(chosen))


@_app.command()
def train(
    name: _Trained,
    output: _Weights = Path("runs/weights"),
    images: _Images = None,
    epochs: _Epochs = None,
    seed: _Seed = None,
) -> None:
    """Train the weights that the course ships anew; into ./runs/weights/."""
    from coursekit.assets import data_folder

    module = import_module(f"coursekit.recipes.{name}")
    given = {"n_images": images, "n_epochs": epochs, "seed": seed}
    given = {key: value for key, value in given.items() if value is not None}
    weights, accuracies = module.train(output, replace(module.RECIPE, **given))
    reached = ", ".join(f"{what} {100 * v:.1f} %" for what, v in accuracies.items())
    print(f"{weights}\nAccuracy on fresh pictures: {reached}.")
    shipped = data_folder() / "weights" / weights.relative_to(output)
    is_shipped = shipped.read_bytes() == weights.read_bytes()
    other = (
        f"Other bytes than the course ships. To ship these, copy them to {shipped.parent}."
    )
    print("Byte for byte what the course ships." if is_shipped else other)


@_app.command()
def address(url: _Url = None, remove: _Remove = False) -> None:
    """Set the repository's address; write badges, set-up cells and the lesson table."""
    from coursekit.course import lessons

    if url is not None and remove:
        raise SettingsError("Give an address or --remove, not both.")
    project = lessons.find_project()
    new = lessons.read_address(project) if url is None else lessons.check_address(url)
    new = None if remove else new
    files = lessons.generated_files(project, address=new)
    settings = project / "pyproject.toml"
    files[settings] = lessons.write_address(settings.read_text(encoding="utf-8"), new)
    print(f"Address: {new or 'none'}")
    for path, text in files.items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"Written: {path.relative_to(project)}")
