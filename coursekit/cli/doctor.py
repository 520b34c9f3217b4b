"""``coursekit doctor``: what works here, what does not, and how to mend it.

Nothing is fetched and nothing is written.
"""

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from coursekit import __version__, assets
from coursekit.cli.notebooks import format_bytes, print_plain
from coursekit.course import profile, use_own_files
from coursekit.course.roles import MODEL_ROLES, ROLES
from coursekit.errors import CourseError, RoleError

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
    findings, roles = examine(), []
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
    is_broken = any(found.is_fatal for found in findings)
    is_broken |= any(s.profile != "real" and s.state == "not usable" for s in roles)
    said = "cannot be used yet." if is_broken else "is ready: coursekit run 01"
    print_plain(console, f"The embedded profile {said}")
    return int(is_broken)


def role_states() -> list[RoleState]:
    """Return what stands in every role; one's own files are looked through."""
    own, roles, states = assets.role_paths(), {**ROLES, **MODEL_ROLES}, []
    for role, path in own.items():
        try:
            use_own_files(role, path)
        except RoleError as error:
            mend = str(error) if role in roles else f"{assets.role_variable(role)}: {error}"
            states.append(RoleState(role, "both", "not usable", str(path), mend))
        else:
            states.append(RoleState(role, "both", "yours", str(path)))
    for role in roles.keys() - own.keys():
        entry = roles[role]
        states.append(RoleState(role, "embedded", "ready", entry.title))
        asset = assets.get_asset(entry.asset)
        if found := assets.find_file(asset.name):
            states.append(RoleState(role, "real", "ready", f"{asset.title} ({found})"))
            continue
        size = "" if asset.n_bytes is None else f" ({asset.n_bytes / 1e6:,.0f} MB)"
        mend = (
            f"Run coursekit fetch {asset.name}{size}, or set COURSEKIT_MIRROR to a folder "
            f"that holds {asset.files[0].path}."
        )
        states.append(RoleState(role, "real", "missing", asset.title, mend))
    order = [*roles, *own]
    return sorted(states, key=lambda state: order.index(state.role))


def examine() -> list[Finding]:
    """Return what was found about Python, packages, device, memory and folders."""
    python = Finding("Python", f"{platform.python_version()} ({sys.executable})")
    if not (3, 11) <= sys.version_info < (3, 14):
        python = python._replace(mend="Use Python 3.11, 3.12 or 3.13.", is_fatal=True)
    system = f"{platform.platform(terse=True)}, {os.cpu_count()} cores"
    total, free = psutil.virtual_memory()[:2]
    memory = Finding("memory", f"{format_bytes(total)}, of which {format_bytes(free)} free")
    if free <= 2 * 2**30:  # a lesson's peak, see the tests' budgets
        memory = memory._replace(mend="A lesson needs up to 2 GiB: close other programs.")
    cache = assets.cache_folder()
    nearest = next(parent for parent in (cache, *cache.parents) if parent.exists())
    downloads = Finding("cache", f"{cache} (writable)")
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        mend = "Set COURSEKIT_CACHE to a folder that you may write; only downloads need it."
        downloads = Finding("cache", f"{cache} (not writable)", mend)
    place = assets.mirror()
    source = Finding("mirror", str(place or "none"))
    if isinstance(place, Path) and not place.is_dir():
        mend = "Set COURSEKIT_MIRROR to a folder that exists, or unset it."
        source = Finding("mirror", f"{place} (no such folder)", mend)
    return [
        python,
        Finding("system", system),
        _examine_packages(),
        _ask("device", "not usable", _find_device),
        memory,
        _ask("profile", "not understood", profile),
        _ask("lessons", "not found", _find_shipped),
        downloads,
        source,
    ]


def _ask(name: str, problem: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name, find())
    except CourseError as error:
        return Finding(name, problem, str(error), is_fatal=True)
    except (ImportError, OSError) as error:
        mend = f"{sys.executable} -m pip install --force-reinstall torch torchvision"
        return Finding(name, f"torch does not load: {error}", mend, is_fatal=True)


def _find_device() -> str:
    from coursekit.devices import choose_device, describe_device

    return describe_device(choose_device())


def _find_shipped() -> str:
    return f"{assets.notebooks_folder()}, data in {assets.data_folder()}"


def _examine_packages() -> Finding:
    shown = [f"{name} {_version(name)}" for name in _SHOWN_PACKAGES if _version(name)]
    said = ", ".join([f"coursekit {__version__}", *shown])
    try:
        required = [Requirement(line) for line in distribution("coursekit").requires or []]
    except PackageNotFoundError:
        mend = f"Install it: {sys.executable} -m pip install -e ."
        return Finding("packages", f"{said}; coursekit is not installed", mend)
    wrong = []
    for needed in required:
        here = _version(needed.name)
        is_needed = needed.marker is None or needed.marker.evaluate({"extra": ""})
        is_there = here and needed.specifier.contains(here, prereleases=True)
        if is_needed and not is_there:
            wrong.append(f"{needed.name}{needed.specifier}")
    if not wrong:
        return Finding("packages", said)
    said = f"{said}; missing or too old: {', '.join(wrong)}"
    names = " ".join(f'"{requirement}"' for requirement in wrong)
    return Finding(
        "packages", said, f"{sys.executable} -m pip install {names}", is_fatal=True
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
