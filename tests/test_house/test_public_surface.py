"""Every public name is documented as a reader needs it: parameters, shapes, errors."""

import ast
import importlib
import inspect
import re
import textwrap
import warnings
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate

PACKAGE = Path(__file__).parents[2] / "coursekit"
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = [f"coursekit.{name}" for name in ("errors", "seeds", "devices", *FOLDERS)]

# numpydoc's checks that the house keeps: https://numpydoc.readthedocs.io (validation).
CODES = {
    "GL03": "double blank line",
    "GL06": "unknown section",
    "GL07": "sections in the wrong order",
    "GL08": "no docstring",
    "PR01": "a parameter is not documented",
    "PR02": "a documented parameter is not in the signature",
    "PR03": "parameters in another order than in the signature",
    "SS01": "no summary",
    "SS02": "summary does not start with a capital",
    "SS03": "summary does not end with a period",
    "SS04": "summary has leading spaces",
    "SS06": "summary is longer than a line",
}


def public_names():
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            yield module, name


NAMES = [
    pytest.param(module, name, id=f"{module}.{name}".removeprefix("coursekit."))
    for module, name in public_names()
]


def resolve(module, name):
    return getattr(importlib.import_module(module), name)


def is_documentable(thing):
    return inspect.isclass(thing) or inspect.isroutine(thing)


def doc_of(thing):
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # numpydoc says by warning what validate says by code
        return ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)


def public_parts(thing):
    """Return a function itself, or a class and its own public methods."""
    yield thing
    if inspect.isclass(thing):
        for name, part in vars(thing).items():
            if not name.startswith("_") and inspect.isfunction(part):
                yield part


@pytest.mark.parametrize("module", MODULES)
def test_the_names_of_a_folder_are_sorted_and_listed_in_its_docstring(module):
    folder = importlib.import_module(module)

    def rank(name):  # constants, classes, functions, as ruff sorts them
        return 0 if name.isupper() else 1 if name[0].isupper() else 2, name

    assert list(folder.__all__) == sorted(folder.__all__, key=rank)
    assert len(set(folder.__all__)) == len(folder.__all__)
    if hasattr(folder, "__path__"):
        words = set(re.findall(r"\w+", folder.__doc__))
        assert not set(folder.__all__) - words, "not in the folder's docstring"


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_exists_and_its_docstring_is_whole(module, name):
    thing = resolve(module, name)
    if not is_documentable(thing):
        return
    found = validate(f"{module}.{name}")["errors"]
    assert not [(code, text) for code, text in found if code in CODES]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_what_a_public_name_raises_is_documented(module, name):
    thing = resolve(module, name)
    if not is_documentable(thing) or not is_ours(thing):
        return
    for part in public_parts(thing):
        missing = raised_by(part) - documented_errors(thing) - documented_errors(part)
        assert not missing, f"{part.__qualname__} raises {missing}"


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_arrays_are_documented_with_their_shapes(module, name):
    thing = resolve(module, name)
    if not is_documentable(thing) or not is_ours(thing):
        return
    for part in public_parts(thing):
        assert not shapeless(doc_of(part)), part.__qualname__


def documented_errors(thing):
    """Return the names under Raises, where one line may hold several."""
    entries = doc_of(thing)["Raises"]
    return {name.strip() for entry in entries for name in entry.type.split(",")}


def shapeless(doc):
    """Return what is documented as an array or tensor without saying its shape."""
    entries = [*doc["Parameters"], *doc["Returns"], *doc["Attributes"]]
    arrays = [e for e in entries if re.search(r"\b(ndarray|Tensor)\b", e.type)]
    return [
        entry.name or entry.type
        for entry in arrays
        if not re.search(
            r"shape|scalar|\(\w+(, ?\w+)*,?\)", " ".join([entry.type, *entry.desc])
        )
    ]


def is_ours(thing):
    return getattr(thing, "__module__", "").startswith("coursekit")


def raised_by(thing):
    """Return the names of the exceptions that a function raises in its own lines."""
    if inspect.isclass(thing):
        doors = [vars(thing).get(name) for name in ("__init__", "__post_init__")]
        return set().union(*(raised_by(door) for door in doors if inspect.isfunction(door)))
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing))))
    except (OSError, TypeError):
        return set()
    return set(_raised(tree.body[0].body)) if hasattr(tree.body[0], "body") else set()


def _raised(nodes):
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func)
            if name.endswith("Error"):
                yield name.split(".")[-1]
        yield from _raised(ast.iter_child_nodes(node))


def test_the_checks_see_what_is_missing():
    def undocumented(x):
        """Return x.

        Parameters
        ----------
        x : Tensor
            Something.
        """
        if x:
            raise ValueError(x)
        return x

    assert raised_by(undocumented) == {"ValueError"}
    assert documented_errors(undocumented) == set()
    assert shapeless(doc_of(undocumented)) == ["x"]
