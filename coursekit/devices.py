"""Choose a device, and say in words what it is.

Nothing here knows about models or data. The environment variable ``COURSEKIT_DEVICE``
overrides the choice.
"""

import os
import platform

import torch

from coursekit.errors import SettingsError

__all__ = ["choose_device", "describe_device"]


def choose_device(name: str | None = None) -> torch.device:
    """Return the device to compute on: the fastest at hand, unless one is named.

    Parameters
    ----------
    name : str, optional
        A torch device such as ``"cpu"`` or ``"cuda:1"``. Without it the environment
        variable ``COURSEKIT_DEVICE`` decides, and without that the order is CUDA, Apple's
        MPS, CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    SettingsError
        If the named device is no device, or is not on this machine.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    name = name or os.environ.get("COURSEKIT_DEVICE")
    if not name:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"A device is named like 'cpu', 'cuda', 'cuda:1' or 'mps', got {name!r}."
        raise SettingsError(msg) from error
    if not _is_present(device):
        msg = (
            f"The device {name!r} is not on this machine, which has: "
            f"{', '.join(_present_devices())}. Choose one of them, or unset COURSEKIT_DEVICE."
        )
        raise SettingsError(msg)
    return device


def describe_device(device: torch.device) -> str:
    """Return one line for a person: kind, name, and memory where it is known.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    str
        For example ``"CPU (x86_64), 2 threads"``.
    """
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"CUDA ({properties.name}), {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "cpu":
        n_threads = torch.get_num_threads()
        plural = "s" if n_threads != 1 else ""
        return f"CPU ({platform.machine()}), {n_threads} thread{plural}"
    return device.type.upper()


def _present_devices() -> list[str]:
    names = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def _is_present(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type in {"cpu", "meta"}
