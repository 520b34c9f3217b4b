"""Roles: what a lesson gets when it asks for ``"digits"`` or for the ``"backbone"``.

A lesson names a role, never a file. `ROLES` and `MODEL_ROLES` say what stands in each: an
embedded form, which needs no network; a real form, which is downloaded once; or the user's own
files instead of both. Data sets and models need torch, so they are imported when asked for.
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from coursekit.assets import data_folder, fetch, role_paths, role_variable, set_role_path
from coursekit.assets import profile_setting as profile
from coursekit.errors import CourseError, RoleError, SettingsError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

    from coursekit.datasets import ImageSet
    from coursekit.models import Clip

_SEED = 2024
_TEST_START = 1_000_000  # of the drawn worlds: no training part reaches that far
_CLIP = "ViT-B-32-quickgelu"  # plain ViT-B-32 takes OpenAI's weights and computes otherwise
_LITE = "efficientnet_lite0.ra_in1k"
_CLASSES = "a folder with one folder of images a class, in train and test or not"


def _call(function: str, *arguments: Any, **options: Any) -> Any:
    """Call a function of coursekit, whose module is imported only now."""
    module, _, name = function.rpartition(".")
    return getattr(import_module(f"coursekit.{module}"), name)(*arguments, **options)


class Role(NamedTuple):
    """What can stand in a role; the functions of data take a part last, "train" or "test"."""

    title: str  # of the embedded form
    asset: str  # what the real form downloads
    embedded: Callable[..., Any]
    own: Callable[..., Any]  # takes a path
    own_form: str = _CLASSES  # in words
    real: Callable[..., Any] = partial(_call, "datasets.stored.load_download")  # an asset


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
    if part not in ("train", "test"):
        msg = f"part must be one of 'train', 'test', got {part!r}."
        raise SettingsError(msg)
    return _fill(role, ROLES, part)


def model(role: str = "backbone") -> "nn.Module":
    """Return the trained model that stands in a role: the user's own, else the profile's.

    Parameters
    ----------
    role : str, default="backbone"
        ``"backbone"``, ``"timm-backbone"`` or ``"clip"``.

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
    made = _fill(role, MODEL_ROLES)
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
    return _fill("clip", MODEL_ROLES)


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
    entry = _find(role, {**ROLES, **MODEL_ROLES})
    if path is not None:
        path = Path(path).expanduser().absolute()
        for part in [("train",), ("test",)] if role in ROLES else [()]:
            _own(role, entry, path, *part)
    set_role_path(role, path)


def _find(role: str, table: Mapping[str, Role]) -> Role:
    if role in table:
        return table[role]
    known = {**ROLES, **MODEL_ROLES}
    hint = did_you_mean(str(role).lower().replace("_", "-"), known, cutoff=0.5)
    if role in known:
        hint = f" Ask for it by course.{'dataset' if role in ROLES else 'model'}({role!r})."
    msg = f"There is no role {role!r} here.{hint} The roles are: {', '.join(table)}."
    raise RoleError(msg)


def _fill(role: str, table: Mapping[str, Role], *part: str) -> Any:
    """Return the user's own, else what the profile puts in the role."""
    is_real, entry = profile() == "real", _find(role, table)
    path = role_paths().get(role)
    if path is not None:
        return _own(role, entry, path, *part)
    return entry.real(entry.asset, *part) if is_real else entry.embedded(*part)


def _own(role: str, entry: Role, path: Path, *part: str) -> Any:
    """Return what the user's files hold, or say what is wrong and how to go without them."""
    try:
        return entry.own(path, *part)
    except CourseError as error:
        msg = (
            f"Your own files in the role {role!r}, {path}, cannot be used: {error}\n"
            f"The role takes {entry.own_form}. Correct them, or unset {role_variable(role)} "
            "to go without them."
        )
        raise RoleError(msg) from error


# --- data ------------------------------------------------------------------------------


def _draw(world: str, n_train: int, n_test: int, part: str, **options: Any) -> "ImageSet":
    n_images, start = (n_train, 0) if part == "train" else (n_test, _TEST_START)
    return _call(f"datasets.{world}", n_images, seed=_SEED, start=start, **options)


def _own_classes(
    path: Path,
    part: str,
    *,
    size: int | None = None,
    channels: int = 3,
    published: tuple[str, str] | None = None,
) -> "ImageSet":
    """Load class folders, or the published files of a data set.

    Without parts, a fifth of each class is for testing. `published` is a file by which such a
    data set is known, and its name in the registry.
    """
    from coursekit import datasets
    from coursekit.datasets.folders import find_parts
    from coursekit.datasets.stored import load_published

    if published:
        file, name = published
        for root in (path, *path.parents[:2]):
            if (root / file).is_file() and path in (root / file).parents:
                return load_published(name, root, part)
    options = {"image_size": size, "channels": channels}
    if path.is_dir() and find_parts(path):
        return datasets.load_folder(path, part=part, **options)
    whole = datasets.load_folder(path, **options)
    return datasets.split_stratified(whole, {"train": 0.8, "test": 0.2}, seed=0)[part]


_MNIST = ("MNIST/raw/train-images-idx3-ubyte", "mnist")
_CIFAR = ("cifar-10-batches-py/batches.meta", "cifar10")
_INSECTS = ("beetle", "butterfly")

ROLES: Mapping[str, Role] = {
    "digits": Role(
        "scikit-learn's digits, enlarged to 28 x 28",
        "mnist",
        partial(_call, "datasets.stored.load_digits"),
        partial(_own_classes, size=28, channels=1, published=_MNIST),
        f"{_CLASSES}, or MNIST's four unpacked files in MNIST/raw",
    ),
    "objects": Role(
        "the shapes world, 32 x 32",
        "cifar10",
        partial(_draw, "make_shapes", 8_000, 2_000),
        partial(_own_classes, size=32, published=_CIFAR),
        f"{_CLASSES}, or CIFAR-10's folder cifar-10-batches-py",
    ),
    "land-cover": Role(
        "drawn land cover, 64 x 64",
        "eurosat",
        partial(_draw, "make_land_cover", 2_000, 1_000),
        partial(_own_classes, size=64),
    ),
    "insects": Role(
        "two unseen shapes, beetle and butterfly, 32 x 32",
        "hymenoptera",
        partial(_draw, "make_shapes", 240, 150, shapes=_INSECTS),
        _own_classes,
    ),
    "photos": Role(  # a collection without parts, which stays on the disk
        "scikit-image's photographs",
        "imagenet-sample",
        lambda _: _call("datasets.stored.load_photos"),
        lambda path, _: _call("datasets.load_folder", path, flat=True),
        "a folder of images, each a class of its own",
    ),
}
"""Name of each role for data, and what can stand in it."""


# --- models ----------------------------------------------------------------------------


def _load_shipped() -> "nn.Module":
    import timm

    import coursekit.models  # noqa: F401 - registers the course's net with timm

    return timm.create_model("coursekit_resnet8", pretrained=True).eval()


def _build(setting: Path | str, *, is_timm: bool = False) -> "nn.Module":
    """Build what ``resnet18:net.pth`` says, a name and a file, or what a file alone holds."""
    from coursekit.models import states

    # A setting is made absolute as a whole, and one letter before a colon is a drive.
    folder, *named = re.split(r"([\w.]{2,}):", str(setting), maxsplit=1)
    name, file = (named[0], Path(named[1]).expanduser()) if named else (states.OWN, "")
    file = Path(folder, file)
    if is_timm:
        return states.build_from_timm_files(file, name=name)
    return states.build_from_state(name, states.read_state(file))


_open_clip = partial(_call, "models.clip.open_clip_files", architecture=_CLIP)

MODEL_ROLES: Mapping[str, Role] = {
    "backbone": Role(
        "a small residual net, trained on the shapes world",
        "mobilenet-v2",
        _load_shipped,
        _build,
        "a state dict of one of torchvision's classifiers, after its name "
        "(resnet18:net.pth), or of the course's net",
        lambda asset: _build(f"mobilenet_v2:{fetch(asset)}"),
    ),
    "timm-backbone": Role(
        "the same small residual net, through timm",
        "efficientnet-lite0",
        _load_shipped,
        partial(_build, is_timm=True),
        "a state dict of one of timm's models, after its name "
        "(efficientnet_lite0:net.safetensors), or a folder that timm.models.save_for_hf wrote",
        lambda asset: _build(f"{_LITE}:{fetch(asset)}", is_timm=True),
    ),
    "clip": Role(
        "a small CLIP, trained on captioned shapes",
        "clip-vit-b-32",
        lambda: _open_clip(data_folder() / "weights" / "clip_small"),
        _open_clip,
        "a folder that open_clip opens as local-dir: (open_clip_config.json and "
        f"weights), or a file with weights of {_CLIP}",
        lambda asset: _open_clip(fetch(asset)),
    ),
}
"""Name of each role that a model fills, and what can stand in it."""
