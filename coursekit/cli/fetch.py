"""``coursekit fetch``: the files of the real profile, downloaded and checked."""

from collections.abc import Sequence
from difflib import get_close_matches

from rich.console import Console
from rich.table import Table

from coursekit.assets import Asset, asset_names, cache_folder, fetch, find_file, get_asset
from coursekit.cli.notebooks import format_bytes, print_plain
from coursekit.errors import AssetError, SettingsError

__all__ = ["fetch_roles"]


def fetch_roles(roles: Sequence[str], *, is_all: bool) -> int:
    """Fetch what roles or assets need, and return 0 when all of it is there, else 1.

    Without any, the table of what there is gets printed.
    """
    console = Console()
    assets = [get_asset(name) for name in asset_names()]
    if not roles and not is_all:
        table = Table("Role", "Data", "Size", "License", "Here")
        for asset in assets:
            here = "no" if find_file(asset.name, thorough=False) is None else "yes"
            table.add_row(asset.role, asset.title, _size(asset), asset.license, here)
        console.print(table)
        console.print("Fetch some: coursekit fetch ROLE, or all: coursekit fetch --all")
        return 0
    known = [word for asset in assets for word in (asset.role, asset.name)]
    for role in roles:
        if role not in known:
            near = get_close_matches(role, known, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(dict.fromkeys(asset.role for asset in assets))
            msg = f"There is nothing to fetch for {role!r}.{guess} Roles: {names}."
            raise SettingsError(msg)
    chosen = [a for a in assets if is_all or a.role in roles or a.name in roles]
    n_there = sum(_fetch_one(asset, console) for asset in chosen)
    print_plain(console, f"{n_there} of {len(chosen)} there, in {cache_folder()}")
    return int(n_there < len(chosen))


def _fetch_one(asset: Asset, console: Console) -> bool:
    about = f"{asset.title}, {_size(asset)}. License: {asset.license}."
    console.print(f"{asset.role}: {about}", highlight=False, markup=False)
    try:
        path = fetch(asset.name)
    except AssetError as error:
        console.print(f"  not there: {error}", highlight=False, markup=False)
        return False
    checked = "checked" if asset.verified else "checked against the published sum"
    print_plain(console, f"  {path} ({checked})")
    return True


def _size(asset: Asset) -> str:
    return "size unknown" if asset.n_bytes is None else format_bytes(asset.n_bytes)
