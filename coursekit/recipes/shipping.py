"""Write a trained net as the course ships it: weights, a card that says what they are, a log.

Nothing here knows how any net was trained.
"""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from coursekit.errors import SettingsError
from coursekit.training import History

__all__ = ["MAX_BYTES", "ShippedModel", "write_shipped"]

MAX_BYTES = 2_000_000
_PACKAGES = ("torch", "torchvision", "timm", "numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedModel:
    """What a recipe wrote.

    Parameters
    ----------
    name : str
        Such as ``"coursekit_resnet8.shapes"``.
    weights, card, log : Path
        The files: safetensors in half precision, Markdown, and one row an epoch.
    sha256 : str
        Of the file of weights.
    n_bytes : int
        Of the file of weights.
    accuracies : mapping of str to float
        From 0 to 1, on fresh data.
    """

    name: str
    weights: Path
    card: Path
    log: Path
    sha256: str
    n_bytes: int
    accuracies: Mapping[str, float]


def write_shipped(
    state: Mapping[str, Tensor],
    folder: str | os.PathLike[str],
    *,
    name: str,
    about: Mapping[str, str],
    accuracies: Mapping[str, float],
    history: History,
) -> ShippedModel:
    """Write the weights in half precision, the card and the log.

    Parameters
    ----------
    state : mapping of str to Tensor
        The state dict. Floating tensors are stored in half precision, whole numbers as they
        are.
    folder : path-like
        Is made where it is missing. Files of the same name are replaced, each at once.
    name : str
        Of the files, without their endings.
    about : mapping of str to str
        Rows of the card: architecture, data, recipe, seed, command.
    accuracies : mapping of str to float
        Reached on fresh data, from 0 to 1.
    history : History
        Of the training.

    Returns
    -------
    ShippedModel

    Raises
    ------
    SettingsError
        If the weights are larger than a shipped file may be, or hold NaN or infinity.

    Notes
    -----
    The same weights give the same bytes; date and versions stand in the card only.
    """
    halves = {
        key: value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        for key, value in state.items()
    }
    broken = [key for key, value in halves.items() if not torch.isfinite(value).all()]
    if broken:
        msg = f"Weights must be finite in half precision, but {broken[0]} is not."
        raise SettingsError(msg)
    n_bytes = sum(value.numel() * value.element_size() for value in halves.values())
    if n_bytes > MAX_BYTES:
        msg = (
            f"A shipped file holds at most {MAX_BYTES / 1e6:g} MB, these weights take "
            f"{n_bytes / 1e6:.2f} MB. Make the net smaller."
        )
        raise SettingsError(msg)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights, card, log = (
        folder / f"{name}{ending}" for ending in (".safetensors", ".md", ".log.csv")
    )
    unfinished = weights.with_suffix(".part")
    save_file(
        {key: value.contiguous() for key, value in sorted(halves.items())}, unfinished
    )
    unfinished.chmod(0o644)  # safetensors gives its files to their owner alone
    unfinished.replace(weights)
    log.write_text(_format_log(history), encoding="utf-8")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    rows = {
        **about,
        "Accuracy on fresh pictures": ", ".join(
            f"{what} {100 * value:.1f} %" for what, value in accuracies.items()
        ),
        "Size": f"{weights.stat().st_size:,} bytes, half precision",
        "SHA-256": f"`{digest}`",
        "Date": datetime.now(UTC).date().isoformat(),
        "Versions": _versions(),
        "License": "CC BY 4.0, as all that coursekit draws",
    }
    card.write_text(_format_card(name, rows), encoding="utf-8")
    return ShippedModel(
        name=name,
        weights=weights,
        card=card,
        log=log,
        sha256=digest,
        n_bytes=weights.stat().st_size,
        accuracies=dict(accuracies),
    )


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def _format_card(name: str, rows: Mapping[str, str]) -> str:
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    return f"# {name}\n\n| | |\n| --- | --- |\n{table}\n"


def _format_log(history: History) -> str:
    frame = history.to_frame().drop(columns="seconds", errors="ignore")
    return frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")
