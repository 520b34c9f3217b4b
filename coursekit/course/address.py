"""The one place where the repository's address stands: ``project.urls`` in pyproject.toml.

Nothing here knows what is generated from the address.
"""

import re
import tomllib
from pathlib import Path

from coursekit.errors import DataError, SettingsError

__all__ = ["check_address", "find_project", "read_address", "write_address"]

_ADDRESS = re.compile(r"(https://[\w.-]+(:\d+)?/[\w./~-]+|file:///[\w./:~-]+)")


def find_project(start: Path | None = None) -> Path:
    """Return the folder of the checkout that `start` lies in.

    Parameters
    ----------
    start : Path, optional
        Where to begin looking; the current folder by default.

    Returns
    -------
    Path
        The nearest folder upward whose pyproject.toml is coursekit's.

    Raises
    ------
    DataError
        If there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and _project(file).get("name") == "coursekit":
            return folder
    msg = (
        f"The address is kept in the pyproject.toml of a checkout of the course, and {start} "
        "is in none. Clone the repository, go into its folder, and run the command there."
    )
    raise DataError(msg)


def check_address(address: str) -> str:
    """Return the address of a git repository, without its trailing slash.

    Parameters
    ----------
    address : str
        An https address, or the path of a repository on this machine.

    Returns
    -------
    str
        What pip and git take after ``git+``; a path becomes a ``file://`` address.

    Raises
    ------
    SettingsError
        If it is neither.

    Examples
    --------
    >>> check_address("https://example.org/me/course/")
    'https://example.org/me/course'
    """
    path = Path(address).expanduser()
    if address and "://" not in address and (path / ".git").exists():
        address = path.resolve().as_uri()
    if not _ADDRESS.fullmatch(address):
        msg = (
            "An address is that of a git repository, such as https://github.com/you/course "
            "(no user name, password or spaces in it), or the path of a repository on this "
            f"machine, got {address!r}. Copy the https address from your repository's page."
        )
        raise SettingsError(msg)
    return address.rstrip("/")


def read_address(project: Path) -> str | None:
    """Return the address in a checkout's pyproject.toml.

    Parameters
    ----------
    project : Path
        The checkout, as `find_project` returns it.

    Returns
    -------
    str or None
        None as long as none is set.
    """
    return _project(project / "pyproject.toml").get("urls", {}).get("Repository")


def write_address(pyproject: str, address: str | None) -> str:
    """Return the text of a pyproject.toml with another address in it.

    Parameters
    ----------
    pyproject : str
        Text of the file; everything else in it stays as it is.
    address : str or None
        As `check_address` returns it. None takes the address out.

    Returns
    -------
    str

    Examples
    --------
    >>> print(write_address("[project]", "https://example.org/course"))
    [project]
    <BLANKLINE>
    [project.urls]
    Repository = "https://example.org/course"
    """
    text = re.sub(r'(?m)^Repository = "[^"\n]*"\n?', "", pyproject)
    if address is None:
        return re.sub(r"\n*^\[project\.urls\]\n(?=\s*(\[|\Z))", "\n\n", text, flags=re.M)
    line = f'Repository = "{address}"'
    if re.search(r"(?m)^\[project\.urls\]$", text):
        return re.sub(r"(?m)^\[project\.urls\]$", f"[project.urls]\n{line}", text)
    before, table, after = _split_after_project(text)
    return f"{before}{table}\n\n[project.urls]\n{line}{after}"


def _split_after_project(text: str) -> tuple[str, str, str]:
    found = re.search(r"(?ms)^\[project\]\n?.*?(?=\s*(^\[|\Z))", text)
    if found is None:
        msg = "A pyproject.toml has a table [project], and this one does not."
        raise DataError(msg)
    return text[: found.start()], found[0], text[found.end() :]


def _project(file: Path) -> dict:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (ValueError, OSError) as error:
        msg = f"{file} cannot be read as TOML ({error}). Mend it, or restore it from git."
        raise DataError(msg) from error
