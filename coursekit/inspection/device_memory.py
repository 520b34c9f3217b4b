"""Read the memory of CUDA devices: of PyTorch's allocator, and of the driver.

The driver is asked through nvidia-ml-py, or through GPUtil where that does not work. What
cannot be read is None, with the reason. Nothing here knows of time.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

__all__ = ["DeviceMemory", "Devices"]

_MIB = 2**20


class DeviceMemory(NamedTuple):
    """The memory of one device at one moment, in bytes.

    Parameters
    ----------
    allocated_bytes : int
        Held by tensors of this process.
    allocated_peak_bytes : int
        The most since the peaks began anew.
    reserved_bytes : int
        Held by PyTorch's allocator, for tensors now or later.
    reserved_peak_bytes : int
        The most since the peaks began anew.
    driver_bytes : int or None
        In use on the whole device, by every program; None where the driver did not say.
    """

    allocated_bytes: int
    allocated_peak_bytes: int
    reserved_bytes: int
    reserved_peak_bytes: int
    driver_bytes: int | None


class Devices:
    """All CUDA devices that this process sees.

    Attributes
    ----------
    names : tuple of str
        ``"cuda:0"`` and so on; none on a machine without.
    why_not : str or None
        Why the allocator cannot be read.
    why_no_driver : str or None
        Why the driver cannot be read.
    driver_source : str or None
        Who reads the driver.
    """

    def __init__(self) -> None:
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        self.names = tuple(f"cuda:{index}" for index in range(n_devices))
        self.why_not = None if n_devices else "no CUDA device"
        self.why_no_driver, self.driver_source = self.why_not, None
        self._read_driver: Callable[[], list[int | None]] = lambda: [None] * n_devices
        self._close: Callable[[], None] = lambda: None
        if n_devices:
            self._open_driver([_uuid_of(index) for index in range(n_devices)])

    def read(self) -> tuple[DeviceMemory, ...]:
        """Return the memory of each device now."""
        used = self._read_driver()
        return tuple(_read_device(index, used[index]) for index in range(len(self.names)))

    def reset_peaks(self) -> None:
        """Let the allocator's peaks begin anew, for the whole process."""
        if self.names and torch.cuda.is_initialized():
            for index in range(len(self.names)):
                torch.cuda.reset_peak_memory_stats(index)

    def close(self) -> None:
        """Let go of the driver."""
        self._close()
        self._close = lambda: None

    def _open_driver(self, uuids: Sequence[str]) -> None:
        reasons = []
        for name, opener in (("nvidia-ml-py", open_nvml), ("GPUtil", open_gputil)):
            try:
                self._read_driver, self._close = opener(uuids)
            except Exception as error:  # noqa: BLE001 - drivers fail in many ways
                reasons.append(f"{name}: {error or type(error).__name__}")
            else:
                self.driver_source, self.why_no_driver = name, None
                return
        self.why_no_driver = "; ".join(reasons)


def open_nvml(uuids: Sequence[str]) -> tuple[Callable[[], list[int | None]], Callable]:
    """Return a function that reads the bytes in use on each device, and one that ends it."""
    import pynvml  # only where there is a device

    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
    except Exception:
        pynvml.nvmlShutdown()
        raise

    def read_one(handle: Any) -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
        except pynvml.NVMLError:
            return None

    return lambda: [read_one(handle) for handle in handles], pynvml.nvmlShutdown


def open_gputil(uuids: Sequence[str]) -> tuple[Callable[[], list[int | None]], Callable]:
    """Return the same by GPUtil, which starts the program nvidia-smi each time.

    Raises
    ------
    LookupError
        If it does not see the devices.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its import of distutils
        import GPUtil  # only where nvidia-ml-py failed

    def read() -> list[int | None]:
        used = {gpu.uuid: int(gpu.memoryUsed * _MIB) for gpu in GPUtil.getGPUs()}
        return [used.get(uuid) for uuid in uuids]

    if None in read():
        msg = "nvidia-smi does not list the devices"
        raise LookupError(msg)
    return read, lambda: None


def _uuid_of(index: int) -> str:
    uuid = str(torch.cuda.get_device_properties(index).uuid)
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def _read_device(index: int, used: int | None) -> DeviceMemory:
    stats = torch.cuda.memory_stats_as_nested_dict(index)  # empty before the first tensor
    nothing = {"all": {"current": 0, "peak": 0}}
    allocated = stats.get("allocated_bytes", nothing)["all"]
    reserved = stats.get("reserved_bytes", nothing)["all"]
    return DeviceMemory(
        allocated_bytes=allocated["current"],
        allocated_peak_bytes=allocated["peak"],
        reserved_bytes=reserved["current"],
        reserved_peak_bytes=reserved["peak"],
        driver_bytes=used,
    )
