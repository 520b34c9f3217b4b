"""Read CIFAR-10's python files without trusting them.

The files are pickles, and a pickle can run any program when it is read in the usual way.
Here only arrays, numbers, text, lists and dictionaries are let in. Nothing here knows which
sums the files should have: they may be anybody's.
"""

import _codecs
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from coursekit.datasets.imageset import ImageSet
from coursekit.errors import DataError, SettingsError

__all__ = ["find_cifar_folder", "load_cifar_files"]

_FOLDER = "cifar-10-batches-py"
_META = "batches.meta"
_SIZE = 32

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _codecs.encode,
}


class _SafeUnpickler(pickle.Unpickler):
    """Reads arrays and plain values, and refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            msg = f"it asks for {module}.{name}, which data have no need of"
            raise pickle.UnpicklingError(msg)
        return _ADMITTED[module, name]


def find_cifar_folder(path: Path) -> Path | None:
    """Return the folder of CIFAR-10's python files at or right below `path`, or None."""
    for folder in (path, path / _FOLDER):
        if (folder / _META).is_file() or (folder / "data_batch_1").is_file():
            return folder
    return None


def load_cifar_files(path: Path, *, part: str = "train") -> ImageSet:
    """Return CIFAR-10, or some of it, from the python files of a folder.

    Parameters
    ----------
    path : Path
        The folder ``cifar-10-batches-py``, or the one it is in.
    part : {"train", "test"}, default="train"
        The files ``data_batch_1``, ``data_batch_2`` ..., or ``test_batch``.

    Returns
    -------
    ImageSet
        Images of shape (n_images, 32, 32, 3).

    Raises
    ------
    DataError
        If files are missing, damaged, hold something else, or ask for more than data need.
    SettingsError
        If there is no such part.
    """
    if part not in {"train", "test"}:
        msg = f"part must be 'train' or 'test', got {part!r}."
        raise SettingsError(msg)
    folder = find_cifar_folder(path)
    pattern = "data_batch_*" if part == "train" else "test_batch*"
    batches = sorted(folder.glob(pattern)) if folder else []
    if not batches or not (folder / _META).is_file():
        msg = (
            f"CIFAR-10's python files ({_META}, data_batch_1 ..., test_batch) are needed in "
            f"{folder or path}, but {pattern} or {_META} is not there. Unpack "
            "cifar-10-python.tar.gz and give the folder cifar-10-batches-py."
        )
        raise DataError(msg)
    read = [_read_batch(batch) for batch in batches]
    return ImageSet(
        images=np.concatenate([images for images, _ in read]),
        labels=np.concatenate([labels for _, labels in read]),
        class_names=_read_names(folder / _META),
        card=f"Own files in CIFAR-10's form from {folder}; license: the owner's to say.",
    )


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = _read_pickle(path)
    data, labels = content.get("data"), content.get("labels")
    fits = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2
    if not fits or data.shape[1] != 3 * _SIZE**2 or not isinstance(labels, list):
        _refuse(path, "needs 'data', uint8 of shape (n_images, 3072), and a list 'labels'")
    if len(labels) != len(data) or not all(isinstance(label, int) for label in labels):
        _refuse(path, f"needs one whole number an image, got {len(labels)} for {len(data)}")
    images = data.reshape(-1, 3, _SIZE, _SIZE).transpose(0, 2, 3, 1)
    return images, np.array(labels, dtype=np.int64)


def _read_names(path: Path) -> tuple[str, ...]:
    names = _read_pickle(path).get("label_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse(path, "needs the class names as a list 'label_names'")
    return tuple(names)


def _read_pickle(path: Path) -> dict[str, Any]:
    stream = io.BytesIO(path.read_bytes())
    try:
        content = _SafeUnpickler(stream, encoding="latin1").load()
    except Exception as error:  # noqa: BLE001 - damaged pickles raise almost anything
        _refuse(path, f"cannot be read: {' '.join(str(error).split())}", error)
    if not isinstance(content, dict):
        _refuse(path, f"must hold a dictionary, got {type(content).__name__}")
    return content


def _refuse(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    msg = (
        f"{path} is no file of CIFAR-10 that can be trusted: it {reason}. Get it from its "
        "source again."
    )
    raise DataError(msg) from cause
