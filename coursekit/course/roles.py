"""Roles: what a lesson gets when it asks for ``"digits"`` or for the ``"backbone"``.

A lesson names a role, never a file. `ROLES` and `MODEL_ROLES` say what stands in each: an
embedded form, which needs no network; a real form, which is downloaded once; or the user's own
files instead of both. Data sets and models need torch, so they are imported when asked for.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coursekit.assets import (
    data_folder,
    fetch,
    profile_setting,
    role_paths,
    role_variable,
    set_role_path,
)
from coursekit.errors import CourseError, RoleError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from coursekit.datasets import ImageSet
    from coursekit.models import Clip

__all__ = [
    "MODEL_ROLES",
    "ROLES",
    "clip",
    "dataset",
    "model",
    "profile",
    "transform",
    "use_own_files",
]

_SEED = 2024
_TEST_START = 1_000_000  # of the drawn worlds: no training part reaches that far
_CLIP = "ViT-B-32-quickgelu"  # plain ViT-B-32 takes OpenAI's weights and computes otherwise
_LITE = "efficientnet_lite0.ra_in1k"
_CLASSES = "a folder with one folder of images a class, in train and test or not"


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """What can stand in a role; forms of data take a part, ``"train"`` or ``"test"``.

    `real` holds forms by architecture, the first being the one that is taken; data have one,
    ``""``. `own` takes a path, and for data a part and ``is_quick=``, to look through only.
    """

    title: str  # of the embedded form
    embedded: Callable[..., Any]
    real: Mapping[str, Callable[..., Any]]
    own: Callable[..., Any]
    own_form: str = _CLASSES  # in words
    assets: tuple[str, ...]  # what the real forms download, in their order


def profile() -> str:
    """Return ``"embedded"`` or ``"real"``, as ``COURSEKIT_PROFILE`` says."""
    return profile_setting()


def dataset(role: str, *, part: str = "train") -> "ImageSet":
    """Return the images that stand in a role: the user's own, else those of the profile.

    Parameters
    ----------
    role : str
        ``"digits"``, ``"objects"``, ``"land-cover"``, ``"insects"`` or ``"photos"``.
    part : {"train", "test"}, default="train"
        The parts share no image, except those of ``"photos"``, which is a collection with
        one image a class: both names give all of it.

    Returns
    -------
    ImageSet
        In memory, of one size, for digits (n_images, 28, 28, 1), objects (n_images, 32, 32,
        3) and land-cover (n_images, 64, 64, 3). Real insects and photos have different
        sizes and are read from the disk when asked for.
    """
    chosen, entry = profile(), _find(role, ROLES)
    if part not in ("train", "test"):
        msg = f"part must be one of 'train', 'test', got {part!r}."
        raise SettingsError(msg)
    path = role_paths().get(role)
    if path is not None:
        return _own(role, path, part)
    return entry.real[""](part) if chosen == "real" else entry.embedded(part)


def model(role: str = "backbone", *, architecture: str | None = None) -> "nn.Module":
    """Return the trained model that stands in a role: the user's own, else the profile's.

    Parameters
    ----------
    role : str, default="backbone"
        ``"backbone"``, ``"timm-backbone"`` or ``"clip"``.
    architecture : str, optional
        Of the real form. That of ``"backbone"`` comes in two: ``"mobilenet_v2"``, the first,
        and ``"alexnet"``.

    Returns
    -------
    Module
        A new one each time, in evaluation mode, on the CPU. Its ``pretrained_cfg`` has timm's
        words: ``input_size`` (channels, height, width), ``mean``, ``std``, ``classifier`` (the
        name of its head).

    Examples
    --------
    >>> model("backbone").pretrained_cfg["input_size"]
    (3, 32, 32)
    """
    made = _make_model(role, architecture)
    return made.model if role == "clip" else made


def transform(role: str = "backbone") -> Callable[["Tensor"], "Tensor"]:
    """Return what turns images into inputs of the model that stands in a role.

    Parameters
    ----------
    role : str, default="backbone"
        As for `model`.

    Returns
    -------
    callable
        From images in [0, 1] of shape (B, 3, H, W), or one of shape (3, H, W), to normalized
        ones of the model's input size: ``make_loader(..., transform=...)``. Larger images are
        made smaller until the usual crop fits, and their middle is cut out, as the model's
        authors evaluate it. Smaller ones are enlarged whole.
    """
    from coursekit.transforms import fit_to_model

    return fit_to_model(model(role).pretrained_cfg)


def clip() -> "Clip":
    """Return what stands in the role ``"clip"``: a model of images and texts.

    That is the user's own, the small CLIP that the course ships, or OpenAI's
    ``ViT-B-32-quickgelu``.

    Returns
    -------
    Clip
        To be taken apart: ``model, preprocess, tokenizer = course.clip()``, all made by
        open_clip; the tokenizer warns of words that it does not know.

    Examples
    --------
    >>> model, preprocess, tokenizer = clip()
    >>> model.encode_text(tokenizer(["a small red star", "a blue disc"])).shape
    torch.Size([2, 96])
    """
    return _make_model("clip")


def use_own_files(role: str, path: str | os.PathLike[str] | None) -> None:
    """Put your own files in a role, for this process and those it starts.

    They are looked through, then used as they are, without a hash, in both profiles. If they
    cannot be used, nothing is changed.

    Parameters
    ----------
    role : str
        As for `dataset` and `model`.
    path : path-like or None
        For data a folder with one folder of images a class, in sub-folders ``train`` and
        ``test`` or not: without them a fifth of each class becomes the test part. For
        ``"photos"`` any folder of images. For a model a state dict after the name of its
        architecture, ``"resnet18:net.pth"``. None takes the files away again.
    """
    _find(role, {**ROLES, **MODEL_ROLES})
    if path is not None:
        path = Path(path).expanduser().absolute()
        _look_through(role, path)
    set_role_path(role, path)


def _find(role: str, table: Mapping[str, Role]) -> Role:
    if role in table:
        return table[role]
    kind = {id(ROLES): " for data", id(MODEL_ROLES): " for a model"}.get(id(table), "")
    hint = _did_you_mean(role)
    if role in ROLES:
        hint = f" It is a role for data: course.dataset({role!r})."
    elif role in MODEL_ROLES:
        hint = f" It is a role for a model: course.model({role!r})."
    msg = f"There is no role {role!r}{kind}.{hint} The roles are: {', '.join(table)}."
    raise RoleError(msg)


def _did_you_mean(role: object) -> str:
    spelled = str(role).lower().replace("_", "-").replace(" ", "-")
    close = get_close_matches(spelled, [*ROLES, *MODEL_ROLES], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _make_model(role: str, architecture: str | None = None) -> Any:
    chosen, entry = profile(), _find(role, MODEL_ROLES)
    if architecture is not None and architecture not in entry.real:
        names = ", ".join(map(repr, entry.real))
        msg = f"The role {role!r} comes in {names} (real profile), got {architecture!r}."
        raise SettingsError(msg)
    path = role_paths().get(role)
    if path is not None:
        return _own(role, path)
    if chosen == "embedded":
        return entry.embedded()
    return entry.real[architecture or next(iter(entry.real))]()


def _look_through(role: str, path: Path) -> None:
    if role in MODEL_ROLES:
        _own(role, path)
        return
    for part in ("train", "test"):
        _own(role, path, part, is_quick=True)


def _own(role: str, path: Path, *part: str, **options: bool) -> Any:
    """Return what the user's files hold, or say what is wrong and how to go without them."""
    entry = (MODEL_ROLES if role in MODEL_ROLES else ROLES)[role]
    try:
        return entry.own(path, *part, **options)
    except CourseError as error:
        msg = (
            f"Your own files in the role {role!r}, {path}, cannot be used: {error}\n"
            f"The role takes {entry.own_form}. Correct them, or unset {role_variable(role)} "
            "to go without them."
        )
        raise RoleError(msg) from error


# --- data ------------------------------------------------------------------------------


def _load(name: str, *, has_parts: bool = True) -> Callable:
    """Return a function that calls `coursekit.datasets.<name>`, imported when called."""

    def load(part: str) -> "ImageSet":
        from coursekit import datasets

        function = getattr(datasets, name)
        return function(part) if has_parts else function()

    return load


def _draw(world: str, n_train: int, n_test: int, **options: Any) -> Callable:
    def draw(part: str) -> "ImageSet":
        from coursekit import datasets

        n_images, start = (n_train, 0) if part == "train" else (n_test, _TEST_START)
        return getattr(datasets, world)(n_images, seed=_SEED, start=start, **options)

    return draw


def _own_classes(
    path: Path,
    part: str,
    *,
    is_quick: bool = False,
    size: int | None = None,
    channels: int = 3,
    published: tuple[str, str] | None = None,
) -> "ImageSet":
    """Load class folders, or the published files of a data set.

    Without parts, a fifth of each class is for testing. `published` is a file by which such a
    data set is known, and what of `coursekit.datasets` loads it.
    """
    from coursekit import datasets
    from coursekit.datasets.folders import find_parts

    if published:
        file, function = published
        for root in (path, path.parent, path.parent.parent):
            if (root / file).is_file() and path in (root / file).parents:
                return getattr(datasets, function)(root, part=part)
    options = {"image_size": None if is_quick else size, "channels": channels}
    if path.is_dir() and find_parts(path):
        return datasets.load_folder(path, part=part, **options)
    whole = datasets.load_folder(path, **options)
    return datasets.split_stratified(whole, {"train": 0.8, "test": 0.2}, seed=0)[part]


def _own_photos(path: Path, part: str, *, is_quick: bool = False) -> "ImageSet":
    del part, is_quick  # a collection without parts, which stays on the disk
    from coursekit.datasets import load_folder

    return load_folder(path, flat=True)


_MNIST = ("MNIST/raw/train-images-idx3-ubyte", "load_mnist_files")
_CIFAR = ("cifar-10-batches-py/batches.meta", "load_cifar_files")

ROLES: Mapping[str, Role] = {
    "digits": Role(
        title="scikit-learn's digits, enlarged to 28 x 28",
        embedded=_load("load_digits"),
        real={"": _load("fetch_mnist")},
        own=partial(_own_classes, size=28, channels=1, published=_MNIST),
        own_form=f"{_CLASSES}, or MNIST's four unpacked files in MNIST/raw",
        assets=("mnist",),
    ),
    "objects": Role(
        title="the shapes world, 32 x 32",
        embedded=_draw("make_shapes", 8_000, 2_000),
        real={"": _load("fetch_cifar10")},
        own=partial(_own_classes, size=32, published=_CIFAR),
        own_form=f"{_CLASSES}, or CIFAR-10's folder cifar-10-batches-py",
        assets=("cifar10",),
    ),
    "land-cover": Role(
        title="drawn land cover, 64 x 64",
        embedded=_draw("make_land_cover", 2_000, 1_000),
        real={"": _load("fetch_eurosat")},
        own=partial(_own_classes, size=64),
        assets=("eurosat",),
    ),
    "insects": Role(
        title="two unseen shapes, beetle and butterfly, 32 x 32",
        embedded=_draw("make_shapes", 240, 150, shapes=("beetle", "butterfly")),
        real={"": _load("fetch_hymenoptera")},
        own=_own_classes,
        assets=("hymenoptera",),
    ),
    "photos": Role(
        title="scikit-image's photographs",
        embedded=_load("load_photos", has_parts=False),
        real={"": _load("fetch_imagenet_sample", has_parts=False)},
        own=_own_photos,
        own_form="a folder of images, each a class of its own",
        assets=("imagenet-sample",),
    ),
}
"""Name of each role for data, and what can stand in it."""


# --- models ----------------------------------------------------------------------------


def _load_shipped() -> "nn.Module":
    import timm

    import coursekit.models  # noqa: F401 - registers the course's net with timm

    return timm.create_model("coursekit_resnet8", pretrained=True).eval()


def _build(name: str, asset: str, *, is_timm: bool = False) -> "nn.Module":
    from coursekit import models

    file = fetch(asset)
    if is_timm:
        return models.build_from_timm_files(file, name=name)
    return models.build_from_state(name, models.read_state(file))


def _own_model(path: Path, *, is_timm: bool = False) -> "nn.Module":
    from torchvision.models import list_models

    from coursekit import models

    name, file = _split(path)
    if is_timm:
        return models.build_from_timm_files(file, name=name)
    if name and name not in list_models():
        close = get_close_matches(name, list_models(), n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"torchvision has no classifier {name!r}.{guess}"
        raise SettingsError(msg)
    return models.build_from_state(name or "coursekit_resnet8", models.read_state(file))


def _split(path: Path) -> tuple[str | None, Path]:
    """Split ``resnet18:net.pth`` into name and file; a folder may stand before it.

    A setting is made absolute as a whole, and one letter before a colon is a drive.
    """
    found = re.search(r"([\w.]{2,}):", str(path))
    if found is None or path.exists():
        return None, path
    file = Path(str(path)[found.end() :]).expanduser()
    return found[1], Path(str(path)[: found.start()]) / file


def _open_clip(path: Path) -> "Clip":
    from coursekit import models

    return models.open_clip_files(path, architecture=_CLIP)


MODEL_ROLES: Mapping[str, Role] = {
    "backbone": Role(
        title="a small residual net, trained on the shapes world",
        embedded=_load_shipped,
        real={
            "mobilenet_v2": partial(_build, "mobilenet_v2", "mobilenet-v2"),
            "alexnet": partial(_build, "alexnet", "alexnet"),
        },
        own=_own_model,
        own_form="a state dict of one of torchvision's classifiers, after its name "
        "(resnet18:net.pth), or of the course's net",
        assets=("mobilenet-v2", "alexnet"),
    ),
    "timm-backbone": Role(
        title="the same small residual net, through timm",
        embedded=_load_shipped,
        real={_LITE: partial(_build, _LITE, "efficientnet-lite0", is_timm=True)},
        own=partial(_own_model, is_timm=True),
        own_form="a state dict of one of timm's models, after its name "
        "(efficientnet_lite0:net.safetensors), or a folder that timm.models.save_for_hf wrote",
        assets=("efficientnet-lite0",),
    ),
    "clip": Role(
        title="a small CLIP, trained on captioned shapes",
        embedded=lambda: _open_clip(data_folder() / "weights" / "clip_small"),
        real={_CLIP: lambda: _open_clip(fetch("clip-vit-b-32"))},
        own=_open_clip,
        own_form="a folder that open_clip opens as local-dir: (open_clip_config.json and "
        f"weights), or a file with weights of {_CLIP}",
        assets=("clip-vit-b-32",),
    ),
}
"""Name of each role that a model fills, and what can stand in it."""
