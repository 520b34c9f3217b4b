"""``coursekit fetch``: the files of the real profile, downloaded and checked.

Nothing here knows how a file is checked or where it is kept.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from rich.console import Console
from rich.table import Table

from coursekit.assets import Asset, asset_names, cache_folder, fetch, find_file, get_asset
from coursekit.cli.notebooks import format_bytes
from coursekit.errors import AssetError, SettingsError

__all__ = ["choose_assets", "fetch_roles"]


def fetch_roles(roles: Sequence[str], *, is_all: bool) -> int:
    """Fetch what the roles need, print a summary, and return an exit code.

    Parameters
    ----------
    roles : sequence of str
        Names of roles or assets. Without any, the table of what there is gets printed.
    is_all : bool
        Fetch every asset.

    Returns
    -------
    int
        0 when everything asked for is there, else 1.
    """
    console = Console()
    if not roles and not is_all:
        console.print(_overview())
        console.print("Fetch some: coursekit fetch ROLE, or all: coursekit fetch --all")
        return 0
    assets = choose_assets(roles, is_all=is_all)
    problems = {asset.name: _fetch_one(asset, console) for asset in assets}
    n_failed = sum(map(bool, problems.values()))
    n_there = len(assets) - n_failed
    console.print(f"{n_there} of {len(assets)} there, in {cache_folder()}", soft_wrap=True)
    return int(n_failed > 0)


def choose_assets(roles: Sequence[str], *, is_all: bool) -> tuple[Asset, ...]:
    """Return the assets that the names mean, each once.

    Parameters
    ----------
    roles : sequence of str
        Names of roles or of assets.
    is_all : bool
        Every asset, whatever is named.

    Returns
    -------
    tuple of Asset
        In the order of the registry.

    Raises
    ------
    SettingsError
        If a name is neither; the message names the nearest.
    """
    assets = [get_asset(name) for name in asset_names()]
    known = [word for asset in assets for word in (asset.role, asset.name)]
    for role in roles:
        if role not in known:
            near = get_close_matches(role, known, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(dict.fromkeys(asset.role for asset in assets))
            msg = f"There is nothing to fetch for {role!r}.{guess} Roles: {names}."
            raise SettingsError(msg)
    return tuple(a for a in assets if is_all or a.role in roles or a.name in roles)


def _fetch_one(asset: Asset, console: Console) -> str:
    """Return what went wrong, or nothing."""
    console.print(
        f"{asset.role}: {asset.title}, {_size(asset)}. License: {asset.license}.",
        highlight=False,
        markup=False,
    )
    try:
        path = fetch(asset.name)
    except AssetError as error:
        console.print(f"  not there: {error}", highlight=False, markup=False)
        return str(error)
    checked = "checked" if asset.verified else "checked against the published sum"
    console.print(f"  {path} ({checked})", highlight=False, markup=False, soft_wrap=True)
    return ""


def _overview() -> Table:
    table = Table("Role", "Data", "Size", "License", "Here")
    for asset in map(get_asset, asset_names()):
        is_here = find_file(asset.name, thorough=False) is not None
        table.add_row(
            asset.role, asset.title, _size(asset), asset.license, "yes" if is_here else "no"
        )
    return table


def _size(asset: Asset) -> str:
    return "size unknown" if asset.n_bytes is None else format_bytes(asset.n_bytes)
