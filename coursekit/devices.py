"""Choose a device, and say in words what it is."""

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

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    n_cuda = torch.cuda.device_count()
    present = ["cuda", *(f"cuda:{n}" for n in range(1, n_cuda))] if n_cuda else []
    present += ["mps"] if torch.backends.mps.is_available() else []
    present += ["cpu"]
    name = name or os.environ.get("COURSEKIT_DEVICE")
    if not name:
        return torch.device(present[0])
    if name.removesuffix(":0") not in (*present, "meta"):
        msg = (
            f"The device {name!r} is not on this machine, which has: {', '.join(present)}. "
            "Choose one of them, or unset COURSEKIT_DEVICE."
        )
        raise SettingsError(msg)
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Return one line for a person, such as ``"CPU (x86_64), 2 threads"``."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"CUDA ({properties.name}), {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "cpu":
        n_threads = torch.get_num_threads()
        plural = "s" if n_threads != 1 else ""
        return f"CPU ({platform.machine()}), {n_threads} thread{plural}"
    return device.type.upper()
