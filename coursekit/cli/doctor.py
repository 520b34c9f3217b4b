"""``coursekit doctor``: what works here, what does not, and how to mend it.

Nothing is fetched and nothing is written. Each check gives one `Finding`; nothing here
knows how a role is filled.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from coursekit import __version__
from coursekit.assets import cache_folder, data_folder, mirror, notebooks_folder
from coursekit.cli.notebooks import format_bytes
from coursekit.course import RoleState, find_lessons, profile, role_states
from coursekit.errors import CourseError

__all__ = ["Finding", "examine", "run_doctor"]

_SHOWN_PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "jupyterlab")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What was looked at.
    said : str
        What was seen.
    mend : str
        What to do about it; empty when all is well.
    is_fatal : bool
        Whether the embedded profile cannot be used because of it.
    """

    name: str
    said: str
    mend: str = ""
    is_fatal: bool = False


def run_doctor() -> int:
    """Print what was found, and return an exit code.

    Returns
    -------
    int
        0 when the embedded profile can be used, else 1.
    """
    console = Console()
    findings = examine()
    _show_findings(findings, console)
    roles, problem = _examine_roles()
    if roles:
        console.print(_role_table(roles))
    findings += problem
    to_mend = [f"{f.name}: {f.mend}" for f in findings if f.mend]
    to_mend += [f"{state.role}: {state.mend}" for state in roles if state.mend]
    _show_mending(list(dict.fromkeys(to_mend)), console)
    is_usable = not any(f.is_fatal for f in findings) and not any(map(_is_broken, roles))
    console.print(
        "The embedded profile is ready: coursekit run 01"
        if is_usable
        else "The embedded profile cannot be used yet.",
        highlight=False,
    )
    return int(not is_usable)


def examine() -> list[Finding]:
    """Return what was found about Python, packages, device, memory and folders.

    Returns
    -------
    list of Finding
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _examine_python,
        _examine_system,
        _examine_packages,
        _examine_device,
        _examine_memory,
        _examine_profile,
        _examine_shipped,
        _examine_extras,
        _examine_cache,
        _examine_mirror,
    )
    return [check() for check in checks]


def _examine_python() -> Finding:
    said = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("Python", said)
    return Finding("Python", said, "Use Python 3.11, 3.12 or 3.13.", is_fatal=True)


def _examine_system() -> Finding:
    return Finding("system", f"{platform.platform(terse=True)}, {os.cpu_count()} cores")


def _examine_packages() -> Finding:
    shown = f"coursekit {__version__}, " + ", ".join(_versions(_SHOWN_PACKAGES))
    try:
        wrong = _unmet(extra="")
    except PackageNotFoundError:
        mend = f"Install it: {sys.executable} -m pip install -e ."
        return Finding("packages", f"{shown}; coursekit is not installed", mend)
    if not wrong:
        return Finding("packages", shown)
    said = f"{shown}; missing or too old: {', '.join(wrong)}"
    return Finding("packages", said, _install(wrong), is_fatal=True)


def _examine_extras() -> Finding:
    """Look at what only some of the lessons need."""
    try:
        extras = sorted({extra for lesson in find_lessons() for extra in lesson.extras})
        wrong = [name for extra in extras for name in _unmet(extra=extra)]
    except (CourseError, PackageNotFoundError):
        return Finding("extras", "not looked at (see above)")
    if not wrong:
        return Finding("extras", "nothing missing that a lesson needs")
    said = f"some lessons need: {', '.join(wrong)}"
    return Finding("extras", said, _install(wrong))


def _install(requirements: list[str]) -> str:
    names = " ".join(f'"{requirement}"' for requirement in requirements)
    return f"{sys.executable} -m pip install {names}"


def _unmet(*, extra: str) -> list[str]:
    """Return what coursekit requires with this extra and does not find."""
    required = map(Requirement, distribution("coursekit").requires or [])
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in required
        if _is_wanted(requirement, extra) and not _is_met(requirement)
    ]


def _is_wanted(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra}) and not (
        extra and marker.evaluate({"extra": ""})
    )


def _is_met(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _examine_device() -> Finding:
    try:
        from coursekit.devices import choose_device, describe_device

        return Finding("device", describe_device(choose_device()))
    except CourseError as error:
        return Finding("device", "not usable", str(error), is_fatal=True)
    except (ImportError, OSError) as error:
        mend = f"{sys.executable} -m pip install --force-reinstall torch torchvision"
        return Finding("device", f"torch does not load: {error}", mend, is_fatal=True)


def _examine_memory() -> Finding:
    memory = psutil.virtual_memory()
    said = f"{format_bytes(memory.total)}, of which {format_bytes(memory.available)} free"
    if memory.available > 2 * 2**30:
        return Finding("memory", said)
    return Finding("memory", said, "A lesson needs up to 2 GiB: close other programs.")


def _examine_profile() -> Finding:
    try:
        return Finding("profile", profile())
    except CourseError as error:
        return Finding("profile", "not understood", str(error), is_fatal=True)


def _examine_shipped() -> Finding:
    try:
        return Finding("lessons", f"{notebooks_folder()}, data in {data_folder()}")
    except CourseError as error:
        return Finding("lessons", "not found", str(error), is_fatal=True)


def _examine_cache() -> Finding:
    folder = cache_folder()
    if _is_writable(folder):
        return Finding("cache", f"{folder} (writable)")
    mend = "Set COURSEKIT_CACHE to a folder that you may write; only downloads need it."
    return Finding("cache", f"{folder} (not writable)", mend)


def _examine_mirror() -> Finding:
    place = mirror()
    if place is None:
        return Finding("mirror", "none")
    if isinstance(place, str):
        return Finding("mirror", f"{place} (an address, not tried)")
    if place.is_dir():
        return Finding("mirror", f"{place} (there)")
    mend = "Set COURSEKIT_MIRROR to a folder that exists, or unset it."
    return Finding("mirror", f"{place} (no such folder)", mend)


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is missing."""
    folder = folder.expanduser()
    if folder.is_dir():
        try:
            with tempfile.TemporaryFile(dir=folder):
                return True
        except OSError:
            return False
    if folder.exists() or folder == folder.parent:
        return False
    nearest = next(parent for parent in folder.parents if parent.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)


def _versions(names: Iterable[str]) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _examine_roles() -> tuple[tuple[RoleState, ...], list[Finding]]:
    try:
        return role_states(), []
    except (CourseError, ImportError) as error:
        return (), [Finding("roles", "not known", str(error), is_fatal=True)]


def _is_broken(state: RoleState) -> bool:
    return state.profile != "real" and state.state not in {"ready", "yours"}


def _show_findings(findings: list[Finding], console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark = "!!" if finding.is_fatal else " !" if finding.mend else ""
        table.add_row(mark, finding.name, finding.said)
    console.print(table, highlight=False, markup=False)


def _role_table(states: Iterable[RoleState]) -> Table:
    table = Table("Role", "Profile", "State", "What")
    for state in states:
        table.add_row(state.role, state.profile or "both", state.state, state.what)
    return table


def _show_mending(to_mend: list[str], console: Console) -> None:
    if not to_mend:
        return
    console.print("To mend:")
    for line in to_mend:
        console.print(f"- {line}", highlight=False, markup=False, soft_wrap=True)
