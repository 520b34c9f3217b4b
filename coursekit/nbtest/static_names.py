"""Which names of coursekit a cell uses and defines, read from its source alone.

The public names are those in the ``__all__`` of each folder's ``__init__``; they are read from
the files, so that nothing is imported. Nothing here knows of notebooks.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["check_names", "imported_modules", "public_names"]

_ROOT = "coursekit"


@lru_cache(maxsize=1)
def public_names() -> dict[str, frozenset[str]]:
    """Return the public names of each public module of coursekit.

    Returns
    -------
    dict of str to frozenset of str
        By the module's name, such as ``"coursekit.figures"``. The root's are its modules.

    Examples
    --------
    >>> "Figure" in public_names()["coursekit.figures"]
    True
    """
    folder = Path(find_spec(_ROOT).submodule_search_locations[0])
    files = {path.stem: path for path in folder.glob("*.py")}
    files |= {path.parent.name: path for path in folder.glob("*/__init__.py")}
    modules = {
        f"{_ROOT}.{name}": _read_all(path)
        for name, path in sorted(files.items())
        if not name.startswith("_")
    }
    children = {name.rpartition(".")[2] for name in modules}
    return modules | {_ROOT: frozenset(children | _read_all(folder / "__init__.py"))}


def check_names(source: str, *, modules: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the names of coursekit in the code of one cell.

    Parameters
    ----------
    source : str
        Python; lines with magics are skipped.
    modules : mapping of str to str
        Modules by the name under which the notebook knows them, as `imported_modules`
        returns them for this cell and those before it.

    Returns
    -------
    list of str
        A sentence for each private, unknown or redefined name.

    Examples
    --------
    >>> check_names("figures.show_image(x)", modules={"figures": "coursekit.figures"})
    ['coursekit.figures has no public name show_image.']
    """
    tree = _parse(source)
    if isinstance(tree, SyntaxError):
        return [f"the code is not Python (line {tree.lineno}: {tree.msg})."]
    nodes = [*ast.walk(tree)]
    found = [text for node in nodes for text in _check_import(node)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    methods = {part for node in classes for part in node.body}
    found += [
        text for node in nodes if node not in methods for text in _check_definition(node)
    ]
    return found + [text for node in nodes for text in _check_attribute(node, modules)]


def imported_modules(source: str) -> dict[str, str]:
    """Return the modules that a cell imports, by the name that it gives them.

    Examples
    --------
    >>> imported_modules("from torchvision import models, io as files")
    {'models': 'torchvision.models', 'files': 'torchvision.io'}
    """
    tree = _parse(source)
    found = {}
    for node in () if isinstance(tree, SyntaxError) else ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _parse(source: str) -> ast.Module | SyntaxError:
    lines = source.splitlines()
    lines = ["pass" if line.lstrip()[:1] in {"%", "!"} else line for line in lines]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError as error:
        return error


def _check_import(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _check_module(alias.name)
    elif isinstance(node, ast.ImportFrom) and node.module:
        problems = list(_check_module(node.module))
        yield from problems
        if problems:
            return
        for alias in node.names:
            yield from _check_imported(node.module, alias.name)


def _check_module(module: str) -> Iterator[str]:
    if any(_is_private(part) for part in module.split(".")):
        yield f"{module} is private, which begins with an underscore: do without it."
    elif module.split(".")[0] == _ROOT and module not in public_names():
        parent = module.rpartition(".")[0]
        cure = f" Import from {parent}." if parent in public_names() else ""
        yield f"{module} is no public module of coursekit.{cure}"


def _check_imported(module: str, name: str) -> Iterator[str]:
    if _is_private(name):
        yield f"{module}.{name} is private, which begins with an underscore: do without it."
    elif module in public_names():
        if name == "*":
            yield f"`from {module} import *` hides where names come from: name them."
        elif name not in public_names()[module]:
            yield f"{module} has no public name {name}."


def _check_definition(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return
    for module, names in public_names().items():
        if module != _ROOT and node.name in names:
            yield f"{node.name} is defined here, and {module} exports it: import it."


def _check_attribute(node: ast.AST, modules: Mapping[str, str]) -> Iterator[str]:
    """Check ``figures.show_images`` where ``figures`` is a module of coursekit."""
    if not isinstance(node, ast.Attribute):
        return
    top, _, rest = ast.unparse(node.value).partition(".")
    module = ".".join(filter(None, (modules.get(top), rest)))
    names = public_names().get(module) if top in modules else None
    if names is not None and node.attr not in names and not _is_dunder(node.attr):
        yield f"{module} has no public name {node.attr}."


def _is_private(name: str) -> bool:
    return name.startswith("_") and not _is_dunder(name)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _read_all(path: Path) -> frozenset[str]:
    """Return the ``__all__`` of a file, which is a plain list of strings."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()
