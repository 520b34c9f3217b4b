"""Find the folders that come with coursekit: ``data/`` and ``notebooks/``.

They stand beside the package in the repository, and inside it when it was installed from
a wheel. Nothing here knows what is in them.
"""

from pathlib import Path

from coursekit.errors import AssetError

__all__ = ["data_folder", "notebooks_folder"]


def data_folder() -> Path:
    """Return the folder of shipped data: tables, and the weights in ``weights/``.

    Raises
    ------
    AssetError
        If the installation is incomplete.
    """
    return _find("data", package=Path(__file__).resolve().parents[1])


def notebooks_folder() -> Path:
    """Return the folder of lessons.

    Raises
    ------
    AssetError
        If the installation is incomplete.
    """
    return _find("notebooks", package=Path(__file__).resolve().parents[1])


def _find(name: str, *, package: Path) -> Path:
    shipped, beside = package / "_shipped" / name, package.parent / name
    if shipped.is_dir():
        return shipped
    # site-packages may hold a stray folder of this name: trust only a repository's.
    if beside.is_dir() and (package.parent / "pyproject.toml").is_file():
        return beside
    msg = (
        f"The folder {name!r} that comes with coursekit was not found at {shipped} or "
        f"{beside}. Install coursekit again."
    )
    raise AssetError(msg)
