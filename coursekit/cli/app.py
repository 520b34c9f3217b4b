"""The ``coursekit`` command: its subcommands, and what becomes of errors.

What is longer than a screen stands in a file of its own, imported when it is called, so that
``coursekit --help`` loads neither torch nor Jupyter.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from coursekit import __version__
from coursekit.errors import CourseError, SettingsError

__all__ = ["main"]

_app = typer.Typer(
    name="coursekit",
    help="A computer-vision course whose every lesson runs offline and is a test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_Lessons = Annotated[
    list[str] | None,
    typer.Argument(help="Numbers such as 01, file names or paths; all by default."),
]
_Timeout = Annotated[float, typer.Option(help="Seconds that one cell may take.", min=1)]
_Jobs = Annotated[int, typer.Option(help="Kernels at a time.", min=1)]


class _Profile(StrEnum):
    EMBEDDED = "embedded"
    REAL = "real"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was typed, or `arguments`; every error becomes one message and an exit code.

    The code is 0 when all went well, 1 when something failed, 2 when the command was not
    understood, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_debug = "--debug" in words
    try:
        _app([word for word in words if word != "--debug"], prog_name="coursekit")
    except KeyboardInterrupt:
        sys.exit(130)
    except CourseError as error:
        if is_debug:
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except Exception as error:
        if is_debug:
            raise
        print(
            f"Error: {type(error).__name__}: {error}\n"
            "This was not expected. The same command with --debug shows where it happened.",
            file=sys.stderr,
        )
        sys.exit(1)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"coursekit {__version__}")
        raise typer.Exit


@_app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    pass


@_app.command()
def doctor() -> None:
    """Say what works here, what does not, and how to mend it."""
    from coursekit.cli.doctor import run_doctor

    raise typer.Exit(run_doctor())


@_app.command("list")
def list_() -> None:
    """List the lessons."""
    from rich.console import Console
    from rich.table import Table

    from coursekit.course import find_lessons

    lessons, console = find_lessons(), Console()
    if not lessons:
        console.print("There are no lessons here.")
        return
    table = Table("", "Lesson", "Minutes", "Data and models")
    for lesson in lessons:
        needs = ", ".join([*lesson.roles, *["GPU"] * lesson.gpu])
        table.add_row(lesson.number, lesson.title, f"{lesson.minutes}", needs)
    console.print(table)
    console.print(f"Run one: coursekit run {lessons[0].number}", highlight=False)
    console.print(f"Work in one: coursekit lab {lessons[0].number}", highlight=False)


@_app.command()
def lab(
    lesson: Annotated[
        str | None, typer.Argument(help="A number such as 01, a file name or a path.")
    ] = None,
) -> None:
    """Open the lessons in JupyterLab."""
    from coursekit.assets import notebooks_folder
    from coursekit.course import find_lesson

    if find_spec("jupyterlab") is None:
        msg = (
            f"JupyterLab is not installed. Run: {sys.executable} -m pip install jupyterlab"
        )
        raise CourseError(msg)
    shipped = notebooks_folder()
    path = find_lesson(lesson).path if lesson else shipped
    folder = working_folder(shipped, target=Path("notebooks"))
    if path.is_relative_to(shipped):
        path = folder / path.relative_to(shipped)
    print(f"JupyterLab opens {path}. Ctrl-C here ends it.", flush=True)
    # One interpreter for the server and its kernels: this one.
    raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyterlab", str(path)]))


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
            shutil.copyfile(source, copy)
    return target


@_app.command()
def run(
    lessons: Annotated[
        list[str], typer.Argument(help="Numbers such as 01, file names or paths.")
    ],
    profile: Annotated[
        _Profile | None,
        typer.Option(help="Data and models; the default is COURSEKIT_PROFILE."),
    ] = None,
    timeout: _Timeout = 600,
    output: Annotated[
        Path, typer.Option(help="Folder for executed notebooks and pages.")
    ] = Path("runs"),
) -> None:
    """Execute copies of lessons; write notebooks and HTML pages into ./runs/."""
    from coursekit.cli.run import run_lessons

    chosen = profile.value if profile else None
    raise typer.Exit(run_lessons(lessons, profile=chosen, timeout=timeout, output=output))


@_app.command()
def check(
    lessons: _Lessons = None,
    profile: Annotated[
        _Profile | None,
        typer.Option(help="Data and models; on real ones only errors count."),
    ] = None,
    timeout: _Timeout = 600,
    jobs: _Jobs = 1,
) -> None:
    """Run lessons and compare what they show with what is stored."""
    from coursekit.cli.check import check_lessons

    chosen = profile.value if profile else None
    raise typer.Exit(
        check_lessons(lessons or [], profile=chosen, timeout=timeout, jobs=jobs)
    )


@_app.command()
def refresh(
    lessons: _Lessons = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also lessons of which nothing changed.")
    ] = False,
    timeout: _Timeout = 600,
    jobs: _Jobs = 1,
    runs: Annotated[
        int, typer.Option(help="Emulated machines; 1 makes a draft.", min=1, max=9)
    ] = 9,
) -> None:
    """Run lessons on emulated machines; store what they show and how far it moves."""
    from coursekit.cli.refresh import refresh_lessons

    raise typer.Exit(
        refresh_lessons(lessons or [], is_all=all_, timeout=timeout, jobs=jobs, runs=runs)
    )


@_app.command()
def fetch(
    roles: Annotated[
        list[str] | None, typer.Argument(help="Roles such as digits, or asset names.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything there is.")] = False,
) -> None:
    """Download the files of the real profile, each checked."""
    from coursekit.cli.fetch import fetch_roles

    raise typer.Exit(fetch_roles(roles or [], is_all=all_))


@_app.command()
def train(
    name: Annotated[str, typer.Argument(help="What to train: backbone or clip.")],
    output: Annotated[Path, typer.Option(help="Folder for weights, card and log.")] = Path(
        "runs/weights"
    ),
    images: Annotated[
        int | None, typer.Option(help="Pictures to draw; fewer for a trial.", min=1)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything.", min=0)] = None,
) -> None:
    """Train the weights that the course ships anew; into ./runs/weights/."""
    from coursekit.cli.train import train_weights

    train_weights(name, output=output, n_images=images, n_epochs=epochs, seed=seed)


@_app.command()
def address(
    url: Annotated[
        str | None, typer.Argument(help="https address of your repository.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it out.")] = False,
) -> None:
    """Set the repository's address; write badges, set-up cells and the lesson table."""
    from coursekit import course

    if url is not None and remove:
        msg = "Give an address or --remove, not both."
        raise SettingsError(msg)
    project = course.find_project()
    old = course.read_address(project)
    new = None if remove else course.check_address(url) if url is not None else old
    changed = course.regenerate(project, address=new)
    if new != old:
        file = project / "pyproject.toml"
        text = course.write_address(file.read_text(encoding="utf-8"), new)
        file.write_text(text, encoding="utf-8", newline="\n")
        changed = (file, *changed)
    print(f"Address: {new or 'none'}")
    for path in changed:
        print(f"Written: {path.relative_to(project)}")
    if not changed:
        print("Table, badges and set-up cells were already as they should be.")
