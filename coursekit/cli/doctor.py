"""``coursekit doctor``: what works here, what does not, and how to mend it.

Nothing is fetched and nothing is written.
"""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from coursekit import __version__, assets
from coursekit.course import profile, use_own_files
from coursekit.course.roles import MODEL_ROLES, ROLES
from coursekit.errors import CourseError

_SHOWN_PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "jupyterlab")
_PIP = f"{sys.executable} -m pip install"


class Finding(NamedTuple):
    """One thing that was looked at; fatal where the embedded profile cannot be used so."""

    name: str
    said: str
    mend: str = ""
    is_fatal: bool = False


def run_doctor() -> int:
    """Print what was found; return 0 when the embedded profile can be used, else 1."""
    findings = [*examine_machine(), *examine_roles()]
    grid = Table.grid(padding=(0, 2))
    for found in findings:
        mark = "!!" if found.is_fatal else " !" if found.mend else ""
        grid.add_row(mark, found.name, found.said)
    Console(highlight=False, markup=False).print(grid)
    for found in findings:
        if found.mend:
            print(f"To mend {found.name}: {found.mend}")
    is_broken = any(found.is_fatal for found in findings)
    said = "cannot be used yet." if is_broken else "is ready: coursekit run 01"
    print(f"The embedded profile {said}")
    return int(is_broken)


def examine_machine() -> list[Finding]:
    """Return what was found about Python, packages, device, memory and folders."""
    total, free = psutil.virtual_memory()[:2]
    cache, mirror = assets.cache_folder(), assets.mirror()
    nearest = next(parent for parent in (cache, *cache.parents) if parent.exists())
    is_writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    has_mirror = not isinstance(mirror, Path) or mirror.is_dir()
    system = f"{platform.platform(terse=True)}, {os.cpu_count()} cores"
    # A lesson's peak is under 2 GB, see the tests' budgets.
    close = "A lesson needs up to 2 GB: close other programs."
    other_cache = "Set COURSEKIT_CACHE to a folder that you may write."
    other_mirror = "Set COURSEKIT_MIRROR to a folder that exists."
    found = [
        Finding("Python", f"{platform.python_version()} ({sys.executable}), {system}"),
        Finding("memory", f"{decimal(total)}, {decimal(free)} free", close * (free < 2e9)),
        Finding("cache", str(cache), other_cache * (not is_writable)),
        Finding("mirror", str(mirror or "none"), other_mirror * (not has_mirror)),
    ]
    looks = {
        "packages": _find_packages,
        "device": _find_device,
        "profile": profile,
        "lessons": lambda: f"{assets.notebooks_folder()}, data in {assets.data_folder()}",
    }
    for name, look in looks.items():
        try:
            found.append(Finding(name, look()))
        except CourseError as error:
            found.append(Finding(name, "not usable", str(error), is_fatal=True))
    return found


def _find_packages() -> str:
    try:
        required = [Requirement(line) for line in requires("coursekit") or []]
    except PackageNotFoundError:
        return f"coursekit {__version__}, not installed: {_PIP} -e ."
    needed = [r for r in required if not r.marker or r.marker.evaluate({"extra": ""})]
    if wrong := [f'"{r.name}{r.specifier}"' for r in needed if not _is_there(r)]:
        raise CourseError(f"Packages are missing or too old: {_PIP} {' '.join(wrong)}")
    shown = [f"{name} {version(name)}" for name in _SHOWN_PACKAGES]
    return ", ".join([f"coursekit {__version__}", *shown])


def _is_there(needed: Requirement) -> bool:
    try:
        return needed.specifier.contains(version(needed.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _find_device() -> str:
    try:
        from coursekit.devices import choose_device, describe_device
    except (ImportError, OSError) as error:
        mend = f"{_PIP} --force-reinstall torch torchvision"
        raise CourseError(f"torch does not load ({error}): {mend}") from error
    return describe_device(choose_device())


def examine_roles() -> list[Finding]:
    """Return what stands in every role; one's own files are looked through."""
    own, found = assets.role_paths(), []
    for role, path in own.items():
        try:
            use_own_files(role, path)
            found.append(Finding(role, f"yours: {path}"))
        except (CourseError, ImportError) as error:
            mend = f"{assets.role_variable(role)}: {error}"
            found.append(Finding(role, f"not usable: {path}", mend, is_fatal=True))
    for role, entry in {**ROLES, **MODEL_ROLES}.items():
        if role in own:
            continue
        asset = assets.read_registry()[entry.asset]
        size = f", {decimal(asset.n_bytes)}" if asset.n_bytes else ""
        missing = f"missing: {asset.title} (coursekit fetch {asset.name}{size})"
        here = assets.find_file(asset.name)
        found += [
            Finding(f"{role}, embedded", f"ready: {entry.title}"),
            Finding(f"{role}, real", f"ready: {here}" if here else missing),
        ]
    return found
