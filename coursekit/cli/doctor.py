"""``coursekit doctor``: what works here, what does not, and how to mend it.

Nothing is fetched and nothing is written.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from coursekit import __version__
from coursekit.assets import (
    cache_folder,
    data_folder,
    find_file,
    get_asset,
    mirror,
    notebooks_folder,
    role_paths,
    role_variable,
)
from coursekit.cli.notebooks import format_bytes, print_plain
from coursekit.course import MODEL_ROLES, ROLES, find_lessons, profile, use_own_files
from coursekit.errors import CourseError, RoleError

__all__ = ["Finding", "RoleState", "examine", "role_states", "run_doctor"]

_SHOWN_PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "jupyterlab")


class Finding(NamedTuple):
    """One thing that was looked at; fatal where the embedded profile cannot be used so."""

    name: str
    said: str
    mend: str = ""
    is_fatal: bool = False


class RoleState(NamedTuple):
    """Whether a role can be used: ``"ready"``, ``"missing"``, ``"yours"`` or ``"not usable"``."""

    role: str
    profile: str  # "embedded", "real" or "both"
    state: str
    what: str
    mend: str = ""


def run_doctor() -> int:
    """Print what was found; return 0 when the embedded profile can be used, else 1."""
    console = Console()
    findings, roles = examine(), ()
    grid = Table.grid(padding=(0, 2))
    for finding in findings:
        mark = "!!" if finding.is_fatal else " !" if finding.mend else ""
        grid.add_row(mark, finding.name, finding.said)
    console.print(grid, highlight=False, markup=False)
    try:
        roles = role_states()
    except (CourseError, ImportError) as error:
        findings.append(Finding("roles", "not known", str(error), is_fatal=True))
    if roles:
        table = Table("Role", "Profile", "State", "What")
        for state in roles:
            table.add_row(*state[:4])
        console.print(table)
    to_mend = [f"{found.name}: {found.mend}" for found in findings if found.mend]
    to_mend += [f"{state.role}: {state.mend}" for state in roles if state.mend]
    if to_mend:
        console.print("To mend:")
    for line in dict.fromkeys(to_mend):
        print_plain(console, f"- {line}")
    is_broken = any(found.is_fatal for found in findings) or any(
        state.profile != "real" and state.state not in {"ready", "yours"} for state in roles
    )
    said = "cannot be used yet." if is_broken else "is ready: coursekit run 01"
    print_plain(console, f"The embedded profile {said}")
    return int(is_broken)


def role_states() -> list[RoleState]:
    """Return what stands in every role; one's own files are looked through."""
    own, roles, states = role_paths(), {**ROLES, **MODEL_ROLES}, []
    for role, path in own.items():
        try:
            use_own_files(role, path)
        except RoleError as error:
            mend = str(error) if role in roles else f"{role_variable(role)}: {error}"
            states.append(RoleState(role, "both", "not usable", str(path), mend))
        else:
            states.append(RoleState(role, "both", "yours", str(path)))
    for role in roles.keys() - own.keys():
        asset = get_asset(roles[role].assets[0])
        found = find_file(asset.name, thorough=False)
        size = "" if asset.n_bytes is None else f" ({asset.n_bytes / 1e6:,.0f} MB)"
        mend = (
            f"Run coursekit fetch {asset.name}{size}, or set COURSEKIT_MIRROR to a folder "
            f"that holds {asset.files[0].path}."
        )
        states += [
            RoleState(role, "embedded", "ready", roles[role].title),
            RoleState(role, "real", "ready", f"{asset.title} ({found})")
            if found
            else RoleState(role, "real", "missing", asset.title, mend),
        ]
    order = [*roles]
    return sorted(states, key=lambda s: order.index(s.role) if s.role in roles else 99)


def examine() -> list[Finding]:
    """Return what was found about Python, packages, device, memory and folders."""
    python = Finding("Python", f"{platform.python_version()} ({sys.executable})")
    if not (3, 11) <= sys.version_info < (3, 14):
        python = python._replace(mend="Use Python 3.11, 3.12 or 3.13.", is_fatal=True)
    memory = psutil.virtual_memory()
    free = f"{format_bytes(memory.total)}, of which {format_bytes(memory.available)} free"
    is_tight = memory.available <= 2 * 2**30  # a lesson's peak, see the tests' budgets
    close = "A lesson needs up to 2 GiB: close other programs."
    return [
        python,
        Finding("system", f"{platform.platform(terse=True)}, {os.cpu_count()} cores"),
        _examine_packages(),
        _examine_device(),
        Finding("memory", free, close if is_tight else ""),
        _ask("profile", "not understood", profile),
        _ask(
            "lessons", "not found", lambda: f"{notebooks_folder()}, data in {data_folder()}"
        ),
        _examine_extras(),
        _examine_cache(),
        _examine_mirror(),
    ]


def _ask(name: str, problem: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name, find())
    except CourseError as error:
        return Finding(name, problem, str(error), is_fatal=True)


def _examine_packages() -> Finding:
    shown = [f"coursekit {__version__}"]
    shown += [f"{name} {_version(name)}" for name in _SHOWN_PACKAGES if _version(name)]
    said = ", ".join(shown)
    try:
        wrong = _unmet(extra="")
    except PackageNotFoundError:
        mend = f"Install it: {sys.executable} -m pip install -e ."
        return Finding("packages", f"{said}; coursekit is not installed", mend)
    if not wrong:
        return Finding("packages", said)
    said = f"{said}; missing or too old: {', '.join(wrong)}"
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
    return Finding("extras", f"some lessons need: {', '.join(wrong)}", _install(wrong))


def _install(requirements: list[str]) -> str:
    names = " ".join(f'"{requirement}"' for requirement in requirements)
    return f"{sys.executable} -m pip install {names}"


def _unmet(*, extra: str) -> list[str]:
    """Return what coursekit requires, with this extra only, and does not find."""
    wrong = []
    for requirement in map(Requirement, distribution("coursekit").requires or []):
        marker, here = requirement.marker, _version(requirement.name)
        is_always = marker is None or marker.evaluate({"extra": ""})
        is_wanted = is_always if not extra else marker and marker.evaluate({"extra": extra})
        if not is_wanted or (extra and is_always):
            continue
        if here is None or not requirement.specifier.contains(here, prereleases=True):
            wrong.append(f"{requirement.name}{requirement.specifier}")
    return wrong


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _examine_device() -> Finding:
    try:
        from coursekit.devices import choose_device, describe_device

        return Finding("device", describe_device(choose_device()))
    except CourseError as error:
        return Finding("device", "not usable", str(error), is_fatal=True)
    except (ImportError, OSError) as error:
        mend = f"{sys.executable} -m pip install --force-reinstall torch torchvision"
        return Finding("device", f"torch does not load: {error}", mend, is_fatal=True)


def _examine_cache() -> Finding:
    folder = cache_folder()
    if _is_writable(folder):
        return Finding("cache", f"{folder} (writable)")
    mend = "Set COURSEKIT_CACHE to a folder that you may write; only downloads need it."
    return Finding("cache", f"{folder} (not writable)", mend)


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is missing."""
    if folder.is_dir():
        try:
            with tempfile.TemporaryFile(dir=folder):
                return True
        except OSError:
            return False
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)


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
