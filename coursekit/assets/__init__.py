"""Files that are downloaded once, checked, and cached; and the settings that name folders.

Getting files
    `fetch`, `find_file`, `asset_names`, `get_asset`, the records `Asset` and `AssetFile`,
    and `unpack_archive`.
Folders
    `cache_folder`, `mirror`, `data_folder`, `notebooks_folder`.
Settings
    `profile_setting`, `role_paths`, `role_variable`, `set_role_path`, `PROFILES`.
"""

from coursekit.assets.archives import unpack_archive
from coursekit.assets.fetching import fetch, find_file
from coursekit.assets.registry import Asset, AssetFile, asset_names, get_asset
from coursekit.assets.settings import (
    PROFILES,
    cache_folder,
    mirror,
    profile_setting,
    role_paths,
    role_variable,
    set_role_path,
)
from coursekit.assets.shipped import data_folder, notebooks_folder

__all__ = [
    "PROFILES",
    "Asset",
    "AssetFile",
    "asset_names",
    "cache_folder",
    "data_folder",
    "fetch",
    "find_file",
    "get_asset",
    "mirror",
    "notebooks_folder",
    "profile_setting",
    "role_paths",
    "role_variable",
    "set_role_path",
    "unpack_archive",
]
