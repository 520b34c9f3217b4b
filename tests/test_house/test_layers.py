"""Each folder of the package imports only from the rows above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "coursekit"

# From the bottom of the stack to its top; a row may use itself only inside one folder.
LAYERS = (
    ("errors", "seeds", "devices"),
    ("assets",),
    ("datasets",),
    ("transforms",),
    ("models",),
    ("training",),
    ("inspection",),
    ("features",),
    ("figures",),
    ("recipes",),
    ("course",),
    ("nbtest",),
    ("cli",),
)
ROWS = {name: row for row, names in enumerate(LAYERS) for name in names}

# What a layer must not know of, though it stands above it in the stack.
UNKNOWN = {
    "models": {"datasets", "transforms"},
    "inspection": {"datasets"},
    "assets": {"numpy", "torch"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(source, *, package):
    """Return every module that a source imports, in functions too, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            if module == "coursekit":
                yield from (f"coursekit.{alias.name}" for alias in node.names)
            else:
                yield module


def layer_of(module):
    """Return the layer of a module of the package, or None for others and the root."""
    parts = module.split(".")
    if parts[0] != "coursekit" or len(parts) == 1 or parts[1].startswith("__"):
        return None
    return parts[1]


def faults(source, *, path):
    """Return what a file of the package imports and must not."""
    package = ["coursekit", *path.parent.parts]
    own = path.parts[0].removesuffix(".py")
    found = []
    for module in imported_modules(source, package=package):
        layer = layer_of(module)
        unknown = {layer, module.split(".")[0]} & UNKNOWN.get(own, set())
        if own == "__init__" and layer:
            found.append(f"the root imports {module}")
        elif own in ROWS and layer is not None and layer not in ROWS:
            found.append(f"{module} has no row")
        elif own in ROWS and layer not in {None, own} and ROWS[layer] >= ROWS[own] > 0:
            found.append(f"{own} imports {module}, which does not stand above it")
        elif unknown:
            found.append(f"{own} imports {module}, of which it knows nothing")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_the_rows_above(path):
    relative = path.relative_to(PACKAGE)
    assert relative.parts[0].removesuffix(".py") in {*ROWS, "__init__"}
    assert not faults(path.read_text(encoding="utf-8"), path=relative)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("datasets/a.py", "import coursekit.training"),
        ("datasets/a.py", "from coursekit.training import Trainer"),
        ("datasets/a.py", "from coursekit import training"),
        ("datasets/a.py", "from ..training import Trainer"),
        ("datasets/a.py", "from .. import training"),
        ("datasets/a.py", "def f():\n    from coursekit.figures import Figure"),
        ("datasets/a.py", "if TYPE_CHECKING:\n    from coursekit.models import LeNet"),
        ("datasets/a.py", "from coursekit.elsewhere import x"),
        ("inspection/a.py", "from coursekit.datasets import ImageSet"),
        ("assets/a.py", "import torch.nn"),
        ("__init__.py", "from coursekit.datasets import ImageSet"),
    ],
)
def test_the_check_sees_each_way_to_break_the_rule(path, source):
    assert faults(source, path=Path(path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("datasets/a.py", "from coursekit.datasets.b import x\nfrom .c import y"),
        ("datasets/a.py", "from coursekit.assets import fetch\nimport torch"),
        ("devices.py", "from coursekit.errors import CourseError"),
        ("cli/a.py", "from coursekit import __version__, figures"),
    ],
)
def test_the_check_lets_right_imports_pass(path, source):
    assert not faults(source, path=Path(path))
