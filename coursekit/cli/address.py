"""``coursekit address``: one command that makes a fork install from itself."""

from coursekit.course.address import (
    check_address,
    find_project,
    read_address,
    write_address,
)
from coursekit.course.generated import regenerate
from coursekit.errors import SettingsError

__all__ = ["change_address"]


def change_address(url: str | None, *, is_removal: bool) -> None:
    """Write the address into pyproject.toml, and what is generated from it.

    Parameters
    ----------
    url : str or None
        The new address; None leaves the one that is set.
    is_removal : bool
        Take the address out instead.

    Raises
    ------
    SettingsError
        If there is both an address and a removal, or the address is not one.
    """
    if url is not None and is_removal:
        msg = "Give an address or --remove, not both."
        raise SettingsError(msg)
    project = find_project()
    old = read_address(project)
    new = None if is_removal else check_address(url) if url is not None else old
    changed = regenerate(project, address=new)
    if new != old:
        file = project / "pyproject.toml"
        text = write_address(file.read_text(encoding="utf-8"), new)
        file.write_text(text, encoding="utf-8", newline="\n")
        changed = (file, *changed)
    print(f"Address: {new or 'none'}")
    for path in changed:
        print(f"Written: {path.relative_to(project)}")
    if not changed:
        print("Table, badges and set-up cells were already as they should be.")
