"""The ``coursekit`` command: its subcommands, and what becomes of errors.

Each subcommand's work stands in a file of its own, imported when it is called, so that
``coursekit --help`` loads neither torch nor Jupyter.
"""

import sys
from collections.abc import Sequence
from enum import StrEnum
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


class _Profile(StrEnum):
    EMBEDDED = "embedded"
    REAL = "real"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, and turn every error into one message and an exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``coursekit``; by default what was typed.

    Raises
    ------
    SystemExit
        Always: 0 when all went well, 1 when something failed, 2 when the command was not
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
        _complain(str(error))
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except Exception as error:
        if is_debug:
            raise
        _complain(
            f"{type(error).__name__}: {error}\n"
            "This was not expected. The same command with --debug shows where it happened."
        )
        sys.exit(1)


def _complain(message: str) -> None:
    print(f"Error: {message}", file=sys.stderr)


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
    from coursekit.cli.listing import show_lessons

    show_lessons()


@_app.command()
def lab(
    lesson: Annotated[
        str | None, typer.Argument(help="A number such as 01, a file name or a path.")
    ] = None,
) -> None:
    """Open the lessons in JupyterLab."""
    from coursekit.cli.lab import open_lab

    raise typer.Exit(open_lab(lesson))


@_app.command()
def run(
    lessons: Annotated[
        list[str], typer.Argument(help="Numbers such as 01, file names or paths.")
    ],
    profile: Annotated[
        _Profile | None,
        typer.Option(help="Data and models; the default is COURSEKIT_PROFILE."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that one cell may take.", min=1)
    ] = 600,
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
    lessons: Annotated[
        list[str] | None,
        typer.Argument(help="Numbers such as 01, file names or paths; all by default."),
    ] = None,
    profile: Annotated[
        _Profile | None,
        typer.Option(help="Data and models; on real ones only errors count."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that one cell may take.", min=1)
    ] = 600,
    jobs: Annotated[int, typer.Option(help="Lessons at a time.", min=1)] = 1,
) -> None:
    """Run lessons and compare what they show with what is stored."""
    from coursekit.cli.check import check_lessons

    chosen = profile.value if profile else None
    raise typer.Exit(
        check_lessons(lessons or [], profile=chosen, timeout=timeout, jobs=jobs)
    )


@_app.command()
def refresh(
    lessons: Annotated[
        list[str] | None,
        typer.Argument(help="Numbers such as 01, file names or paths; all by default."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also lessons of which nothing changed.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds that one cell may take.", min=1)
    ] = 600,
    jobs: Annotated[int, typer.Option(help="Kernels at a time.", min=1)] = 1,
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
    name: Annotated[str, typer.Argument(help="What to train: backbone.")],
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
    from coursekit.cli.address import change_address

    change_address(url, is_removal=remove)
