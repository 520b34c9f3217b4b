"""How much memory a process has used at most, where the system keeps that number.

Nothing here knows what the process does.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["PeakMemory", "format_bytes", "read_peak_memory"]

_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class PeakMemory:
    """The largest resident memory of a process.

    Parameters
    ----------
    n_bytes : int or None
        None when it could not be measured.
    reason : str
        Why it could not.
    """

    n_bytes: int | None
    reason: str = ""

    def __str__(self) -> str:
        if self.n_bytes is None:
            return f"not measured ({self.reason})"
        return format_bytes(self.n_bytes)


def read_peak_memory(pid: int) -> PeakMemory:
    """Return the largest resident memory of a running process, without its children.

    Parameters
    ----------
    pid : int
        The process, which must still run.

    Returns
    -------
    PeakMemory
        Linux and Windows keep the number; elsewhere it is not measured.
    """
    try:
        if sys.platform == "win32":
            return PeakMemory(psutil.Process(pid).memory_info().peak_wset)
        if sys.platform.startswith("linux"):
            status = Path(f"/proc/{pid}/status").read_text(
                encoding="ascii", errors="ignore"
            )
            found = _HIGH_WATER.search(status)
            if found is None:
                return PeakMemory(None, "this system keeps no VmHWM")
            return PeakMemory(int(found[1]) * 1024)
    except (OSError, psutil.Error):
        return PeakMemory(None, "the process has ended")
    return PeakMemory(None, f"{sys.platform} keeps no peak")


def format_bytes(n_bytes: int) -> str:
    """Return a size for a person, in binary units.

    Parameters
    ----------
    n_bytes : int
        Not negative.

    Returns
    -------
    str

    Examples
    --------
    >>> format_bytes(0), format_bytes(1536), format_bytes(3 * 2**30)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    size, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
