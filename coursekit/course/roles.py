"""The table of roles: what stands in each in either profile, and which own files fit.

The data sets are imported when a role is asked for, because they need torch. Nothing here
reads a setting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from coursekit.course import own_files
from coursekit.errors import RoleError

if TYPE_CHECKING:
    from coursekit.datasets import ImageSet

__all__ = ["ROLES", "Role", "did_you_mean", "get_role"]

_SEED = 2024
_TEST_START = 1_000_000  # drawn worlds: no training part reaches that far


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """What can stand in a role.

    Parameters
    ----------
    embedded, real : callable
        Each gets ``"train"`` or ``"test"`` and returns an `ImageSet`.
    own : callable
        Gets a path, a part and ``is_quick=``, and returns an `ImageSet` of the user's files;
        when quick, the images stay on the disk.
    embedded_title, own_form : str
        In words: what the embedded form is, and which files can be put in.
    asset : str
        What the real form downloads.
    """

    embedded: Callable[[str], "ImageSet"]
    real: Callable[[str], "ImageSet"]
    own: Callable[..., "ImageSet"]
    embedded_title: str
    own_form: str
    asset: str


def get_role(role: str) -> Role:
    """Return the entry of a role, or raise a `RoleError` that lists the roles."""
    if role in ROLES:
        return ROLES[role]
    msg = (
        f"There is no role {role!r}.{did_you_mean(role)} The roles are: {', '.join(ROLES)}."
    )
    raise RoleError(msg)


def did_you_mean(role: object) -> str:
    """Return a hint at the role that was probably meant, or an empty string."""
    spelled = str(role).lower().replace("_", "-").replace(" ", "-")
    close = get_close_matches(spelled, ROLES, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _draw_objects(part: str) -> "ImageSet":
    from coursekit import datasets

    n_images, start = _window(part, 8_000, 2_000)
    return datasets.make_shapes(n_images, seed=_SEED, start=start)


def _draw_land_cover(part: str) -> "ImageSet":
    from coursekit import datasets

    n_images, start = _window(part, 2_000, 1_000)
    return datasets.make_land_cover(n_images, seed=_SEED, start=start)


def _draw_insects(part: str) -> "ImageSet":
    from coursekit import datasets

    n_images, start = _window(part, 240, 150)
    return datasets.make_shapes(
        n_images, seed=_SEED, start=start, shapes=("beetle", "butterfly")
    )


def _window(part: str, n_train: int, n_test: int) -> tuple[int, int]:
    return (n_train, 0) if part == "train" else (n_test, _TEST_START)


def _from_datasets(name: str, *, has_parts: bool = True) -> Callable[[str], "ImageSet"]:
    """Return a function that calls `coursekit.datasets.<name>`, imported when called."""

    def load(part: str) -> "ImageSet":
        from coursekit import datasets

        function = getattr(datasets, name)
        return function(part) if has_parts else function()

    return load


ROLES: Mapping[str, Role] = {
    "digits": Role(
        embedded=_from_datasets("load_digits"),
        real=_from_datasets("fetch_mnist"),
        own=own_files.load_own_digits,
        embedded_title="scikit-learn's digits, enlarged to 28 x 28",
        own_form=f"{own_files.CLASS_FOLDERS}, or MNIST's four unpacked files",
        asset="mnist",
    ),
    "objects": Role(
        embedded=_draw_objects,
        real=_from_datasets("fetch_cifar10"),
        own=own_files.load_own_objects,
        embedded_title="the shapes world, 32 x 32",
        own_form=f"{own_files.CLASS_FOLDERS}, or CIFAR-10's python files",
        asset="cifar10",
    ),
    "land-cover": Role(
        embedded=_draw_land_cover,
        real=_from_datasets("fetch_eurosat"),
        own=own_files.load_own_land_cover,
        embedded_title="drawn land cover, 64 x 64",
        own_form=own_files.CLASS_FOLDERS,
        asset="eurosat",
    ),
    "insects": Role(
        embedded=_draw_insects,
        real=_from_datasets("fetch_hymenoptera"),
        own=own_files.load_own_insects,
        embedded_title="two unseen shapes, beetle and butterfly, 32 x 32",
        own_form=own_files.CLASS_FOLDERS,
        asset="hymenoptera",
    ),
    "photos": Role(
        embedded=_from_datasets("load_photos", has_parts=False),
        real=_from_datasets("fetch_imagenet_sample", has_parts=False),
        own=own_files.load_own_photos,
        embedded_title="scikit-image's photographs",
        own_form="a folder of images, each a class of its own",
        asset="imagenet-sample",
    ),
}
"""Name of each role, and what can stand in it."""
