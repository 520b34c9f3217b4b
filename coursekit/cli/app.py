"""The ``coursekit`` command: its subcommands, and what becomes of errors.

What runs notebooks or looks at the machine stands in a file of its own. All is imported when it
is called, so that ``coursekit --help`` loads neither torch nor Jupyter.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Annotated

from typer import Argument, Exit, Option, Typer

from coursekit import __version__
from coursekit.errors import AssetError, CourseError, SettingsError, did_you_mean


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


class _Profile(StrEnum):
    EMBEDDED = "embedded"
    REAL = "real"


_NAMES = "Numbers such as 01, file names or paths"
_Lesson = Annotated[
    str | None, Argument(help="A number such as 01, a file name or a path.")
]
_Some = Annotated[list[str], Argument(help=f"{_NAMES}.")]
_Lessons = Annotated[list[str] | None, Argument(help=f"{_NAMES}; all by default.")]
_Roles = Annotated[list[str] | None, Argument(help="Roles such as digits, or asset names.")]
_Recipe = Annotated[str, Argument(help="What to train: backbone or clip.")]
_Url = Annotated[str | None, Argument(help="https address of your repository.")]
_Chosen = Annotated[
    _Profile | None, Option(help="Data and models; the default is COURSEKIT_PROFILE.")
]
_Timeout = Annotated[float, Option(help="Seconds that one cell may take.", min=1)]
_Jobs = Annotated[int, Option(help="Kernels at a time.", min=1)]
_Runs = Annotated[int, Option(help="Emulated machines; 1 makes a draft.", min=1, max=9)]
_Pages = Annotated[Path, Option(help="Folder for executed notebooks and pages.")]
_Weights = Annotated[Path, Option(help="Folder for weights, card and log.")]
_Images = Annotated[int | None, Option(help="Pictures to draw; fewer for a trial.", min=1)]
_Epochs = Annotated[int | None, Option(help="Epochs.", min=1)]
_Seed = Annotated[int | None, Option(help="Of everything.", min=0)]
_All = Annotated[bool, Option("--all", help="Everything, not only what is needed.")]
_Remove = Annotated[bool, Option("--remove", help="Take it out.")]
_Debug = Annotated[bool, Option("--debug", help="Show the traceback of an error.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was typed, or `arguments`; every error becomes one message and an exit code.

    The code is 0 when all went well, 1 when something failed, 2 when the command was not
    understood, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _app([word for word in words if word != "--debug"], prog_name="coursekit")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if "--debug" in words:
            raise
        said = str(error)
        if not isinstance(error, CourseError):
            said = (
                f"{type(error).__name__}: {error}\nThis was not expected. The same command "
                "with --debug shows where it happened."
            )
        print(f"Error: {said}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"coursekit {__version__}")
        raise Exit


_Version = Annotated[
    bool, Option("--version", help="Show the version.", callback=_show_version)
]


@_app.callback()
def _options(version: _Version = False, debug: _Debug = False) -> None:
    pass


@_app.command()
def doctor() -> int:
    """Say what works here, what does not, and how to mend it."""
    from coursekit.cli.doctor import run_doctor

    return run_doctor()


@_app.command("list")
def list_() -> None:
    """List the lessons."""
    from rich.console import Console
    from rich.table import Table

    from coursekit.course.lessons import find_lessons

    lessons, console = find_lessons(), Console()
    table = Table("", "Lesson", "Minutes", "Data and models")
    for lesson in lessons:
        needs = ", ".join(lesson.roles)
        table.add_row(lesson.number, lesson.title, f"{lesson.minutes}", needs)
    console.print(table)
    console.print("Run one: coursekit run 01", highlight=False)
    console.print("Work in one: coursekit lab 01", highlight=False)


@_app.command()
def lab(lesson: _Lesson = None) -> int:
    """Open the lessons in JupyterLab."""
    from coursekit.assets import notebooks_folder
    from coursekit.course.lessons import find_lesson

    if find_spec("jupyterlab") is None:
        pip = f"{sys.executable} -m pip install jupyterlab"
        raise CourseError(f"JupyterLab is not installed. Run: {pip}")
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
            shutil.copyfile(source, copy)
    return target


@_app.command()
def run(
    lessons: _Some,
    profile: _Chosen = None,
    timeout: _Timeout = 600,
    output: _Pages = Path("runs"),
) -> int:
    """Execute copies of lessons; write notebooks and HTML pages into ./runs/."""
    from coursekit.cli.run import run_lessons

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

    return refresh_lessons(
        lessons or [], is_all=all_, timeout=timeout, jobs=jobs, runs=runs
    )


@_app.command()
def fetch(roles: _Roles = None, all_: _All = False) -> int:
    """Download the files of the real profile, each checked."""
    from rich.console import Console
    from rich.table import Table

    from coursekit import assets
    from coursekit.cli.notebooks import format_bytes, print_plain

    known = [assets.get_asset(name) for name in assets.asset_names()]
    sizes = {
        a.name: format_bytes(a.n_bytes) if a.n_bytes else "size unknown" for a in known
    }
    if not roles and not all_:
        table = Table("Role", "Data", "Size", "License", "Here")
        for asset in known:
            here = "yes" if assets.find_file(asset.name) else "no"
            table.add_row(asset.role, asset.title, sizes[asset.name], asset.license, here)
        Console().print(table)
        print("Fetch some: coursekit fetch ROLE, or all: coursekit fetch --all")
        return 0
    words = [word for asset in known for word in (asset.role, asset.name)]
    for role in roles or []:
        if role not in words:
            names = ", ".join(dict.fromkeys(asset.role for asset in known))
            guess = did_you_mean(role, words)
            msg = f"There is nothing to fetch for {role!r}.{guess} Roles: {names}."
            raise SettingsError(msg)
    chosen = [asset for asset in known if all_ or {asset.role, asset.name} & {*roles}]
    n_there = 0
    for asset in chosen:
        size = sizes[asset.name]
        about = f"{asset.role}: {asset.title}, {size}. License: {asset.license}."
        Console().print(about, highlight=False, markup=False)
        try:
            path = assets.fetch(asset.name)
        except AssetError as error:
            Console().print(f"  not there: {error}", highlight=False, markup=False)
            continue
        checked = "checked" if asset.verified else "checked against the published sum"
        print_plain(Console(), f"  {path} ({checked})")
        n_there += 1
    where = assets.cache_folder()
    print_plain(Console(), f"{n_there} of {len(chosen)} there, in {where}")
    return int(n_there < len(chosen))


@_app.command()
def train(
    name: _Recipe,
    output: _Weights = Path("runs/weights"),
    images: _Images = None,
    epochs: _Epochs = None,
    seed: _Seed = None,
) -> None:
    """Train the weights that the course ships anew; into ./runs/weights/."""
    from coursekit import assets
    from coursekit.recipes import backbone, clip

    known = {
        "backbone": (backbone.BackboneRecipe, backbone.train_backbone),
        "clip": (clip.ClipRecipe, clip.train_clip),
    }
    if name not in known:
        guess = did_you_mean(name, known)
        msg = f"There is no recipe {name!r}.{guess} There are: {', '.join(known)}."
        raise SettingsError(msg)
    make_recipe, train_anew = known[name]
    given = {"n_images": images, "n_epochs": epochs, "seed": seed}
    recipe = make_recipe(**{key: n for key, n in given.items() if n is not None})
    start = perf_counter()
    made = train_anew(output, recipe=recipe)
    reached = ", ".join(f"{what} {100 * v:.1f} %" for what, v in made.accuracies.items())
    print(f"{made.name}: trained in {(perf_counter() - start) / 60:.1f} minutes.")
    print(f"Accuracy on fresh pictures: {reached}.")
    print(f"{made.weights} ({made.n_bytes:,} bytes, SHA-256 {made.sha256[:16]})")
    shipped = assets.data_folder() / "weights" / made.weights.relative_to(output)
    if not shipped.is_file():
        print("The course ships no file of this name yet.")
    elif hashlib.sha256(shipped.read_bytes()).hexdigest() == made.sha256:
        print("Byte for byte what the course ships.")
    else:
        where = f"To ship these, copy them to {shipped.parent}."
        print(f"Other bytes than the course ships. {where}")


@_app.command()
def address(url: _Url = None, remove: _Remove = False) -> None:
    """Set the repository's address; write badges, set-up cells and the lesson table."""
    from coursekit.course import lessons

    if url is not None and remove:
        raise SettingsError("Give an address or --remove, not both.")
    project = lessons.find_project()
    new = lessons.read_address(project) if url is None else lessons.check_address(url)
    new = None if remove else new
    file = project / "pyproject.toml"
    files = lessons.generated_files(project, address=new)
    if new != lessons.read_address(project):
        files[file] = lessons.write_address(file.read_text(encoding="utf-8"), new)
    print(f"Address: {new or 'none'}")
    changed = [
        path for path, text in files.items() if path.read_text(encoding="utf-8") != text
    ]
    for path in changed:
        path.write_text(files[path], encoding="utf-8", newline="\n")
        print(f"Written: {path.relative_to(project)}")
    if not changed:
        print("Table, badges and set-up cells were already as they should be.")
