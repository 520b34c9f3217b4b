"""What keeps the house in order: rows, light imports, listed names, no network, small files."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "coursekit"
# From the bottom of the stack to its top: a folder imports only from the rows above its own.
LAYERS = (
    *(("errors", "seeds", "devices"), ("assets",), ("datasets",), ("models",)),
    *(("transforms",), ("training",), ("inspection",), ("features",), ("figures",)),
    *(("recipes",), ("course",), ("nbtest",), ("cli",)),
)
ROWS = {name: row for row, names in enumerate(LAYERS) for name in names}
# What a layer must not know of, though it stands above it in the stack.
UNKNOWN = {"models": {"datasets"}, "inspection": {"datasets"}, "assets": {"numpy", "torch"}}
HEAVY = {
    *("torch", "torchvision", "matplotlib", "pandas", "sklearn", "skimage", "scipy"),
    "nbformat",
}


def imported_modules(source, package):
    """Yield every module or name that a source imports, in functions too, in full."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def find_wrong_imports(source, path):
    own = path.parts[0].removesuffix(".py")
    names = [
        n.split(".") for n in imported_modules(source, ["coursekit", *path.parent.parts])
    ]
    ours = {name[1] for name in names if name[0] == "coursekit" and len(name) > 1}
    layers = {layer for layer in ours if not layer.startswith("__")} - {own}
    if own == "__init__":
        return layers
    too_high = {layer for layer in layers if ROWS.get(layer, 99) >= ROWS[own] > 0}
    return too_high | (UNKNOWN.get(own, set()) & (layers | {name[0] for name in names}))


def test_a_file_imports_only_from_the_rows_above():
    wrong = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if found := find_wrong_imports(path.read_text(encoding="utf-8"), inside):
            wrong[str(inside)] = found
    assert not wrong


@pytest.mark.parametrize(
    ("path", "source", "is_wrong"),
    [
        ("datasets/a.py", "import coursekit.training", True),
        ("datasets/a.py", "from coursekit import training", True),
        ("datasets/a.py", "from ..training import Trainer", True),
        ("datasets/a.py", "from .. import training", True),
        ("datasets/a.py", "def f():\n    from coursekit.figures import Figure", True),
        ("datasets/a.py", "from coursekit.elsewhere import x", True),
        ("inspection/a.py", "from coursekit.datasets import ImageSet", True),
        ("assets/a.py", "import torch.nn", True),
        ("__init__.py", "from coursekit.datasets import ImageSet", True),
        ("datasets/a.py", "from coursekit.datasets.b import x\nfrom .c import y", False),
        ("datasets/a.py", "from coursekit.assets import fetch\nimport torch", False),
        ("cli/a.py", "from coursekit import __version__, figures", False),
    ],
)
def test_the_check_sees_each_way_to_break_the_rule(path, source, is_wrong):
    assert bool(find_wrong_imports(source, Path(path))) == is_wrong


def test_the_names_of_a_folder_are_listed_and_documented():
    for module in (path.parent.name for path in sorted(PACKAGE.glob("*/__init__.py"))):
        folder = importlib.import_module(f"coursekit.{module}")
        missing = {*folder.__all__} - {*re.findall(r"\w+", folder.__doc__)}
        assert not missing, f"not in the docstring of {module}: {missing}"
        for name in folder.__all__:
            thing = getattr(folder, name)
            assert not callable(thing) or (thing.__doc__ or "").strip(), f"{module}.{name}"


@pytest.mark.parametrize(
    "module",
    [
        "coursekit",
        "coursekit.errors",
        "coursekit.assets",
        "coursekit.course",
        "coursekit.cli",
    ],
)
def test_importing_it_loads_nothing_heavy(module):
    assert not loaded_by(module) & HEAVY


def loaded_by(module):
    code = f"import sys, {module}; print(*{{n.split('.')[0] for n in sys.modules}})"
    words = [sys.executable, "-c", code]
    return {
        *subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    }


def test_the_check_sees_what_is_heavy():
    assert "torch" in loaded_by("coursekit.devices")


def kept_files():
    """Return what belongs to the repository; without git, all but what tools leave."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        files = [ROOT / name for name in done.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        left = {".git", ".venv", "runs", "__pycache__"}
        files = [path for path in ROOT.rglob("*") if not left & set(path.parts)]
    return [path for path in files if path.is_file()]


def test_no_file_is_over_2_mb_and_all_together_are_at_most_20():
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in kept_files()}
    assert not {name: size for name, size in sizes.items() if size > 2_000_000}
    assert sum(sizes.values()) <= 20_000_000


def test_nothing_else_stands_at_the_top():
    allowed = {"LICENSE", "README.md", "coursekit", "data", "notebooks", "pyproject.toml"}
    tops = {path.relative_to(ROOT).parts[0] for path in kept_files()}
    assert {top for top in tops if not top.startswith(".")} == allowed | {"tests"}
