"""Execute a notebook in a fresh kernel from top to bottom, and say how it went.

The notebook that is given stays as it is; the executed copy comes back in the record.
Nothing here knows about lessons, files or terminals.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nbformat import NotebookNode

from coursekit.nbtest.memory import PeakMemory
from coursekit.nbtest.session import CellFailure, NotebookSession

__all__ = ["CellFailure", "NotebookRun", "execute_notebook"]


@dataclass(frozen=True)
class NotebookRun:
    """A notebook that was executed.

    Parameters
    ----------
    notebook : NotebookNode
        The executed copy, with the outputs of every cell that ran.
    n_cells : int
        Code cells in the notebook.
    n_done : int
        Code cells that came to their end.
    seconds : float
        Wall time from the start of the kernel to its end.
    peak_memory : PeakMemory
        Largest resident memory of the kernel.
    failure : CellFailure or None
        None when every cell ran.
    cell_seconds : mapping of int to float
        Wall time of each code cell that ran, by its number, counted from 1.
    """

    notebook: NotebookNode
    n_cells: int
    n_done: int
    seconds: float
    peak_memory: PeakMemory
    failure: CellFailure | None
    cell_seconds: Mapping[int, float] = field(default_factory=dict)


def execute_notebook(
    notebook: NotebookNode,
    *,
    folder: str | os.PathLike[str],
    settings: Mapping[str, str] | None = None,
    timeout: float | None = None,
    python: str = sys.executable,
    on_cell: Callable[[int], object] | None = None,
) -> NotebookRun:
    """Return the record of a notebook executed from top to bottom.

    Parameters
    ----------
    notebook : NotebookNode
        Left as it is.
    folder : path-like
        The folder that the kernel works in.
    settings : mapping of str to str, optional
        Environment variables that the kernel sees besides those of `kernel_environment`.
    timeout : float, optional
        Seconds that a cell may take. None waits for ever.
    python : str
        The interpreter of the kernel; this one by default, whatever is registered with
        Jupyter under the notebook's kernel name.
    on_cell : callable, optional
        Called with the number of code cells done so far, after each.

    Returns
    -------
    NotebookRun
        Also when a cell fails or the kernel dies: `failure` says so.
    """
    begin = time.perf_counter()
    session = NotebookSession(
        notebook, folder=folder, settings=settings, timeout=timeout, python=python
    )
    seconds: dict[int, float] = {}
    n_done = 0
    try:
        failure = session.start()
        for number, index in enumerate(session.code, start=1):
            if failure is not None:
                break
            run = session.run_cell(
                index, may_raise=_may_raise(session.notebook.cells[index])
            )
            seconds[number], failure = run.seconds, run.failure
            if failure is None:
                n_done = number
                if on_cell is not None:
                    on_cell(n_done)
        session.finish()
    finally:
        session.close()
    return NotebookRun(
        notebook=session.notebook,
        n_cells=len(session.code),
        n_done=n_done,
        seconds=time.perf_counter() - begin,
        peak_memory=session.peak_memory,
        failure=failure,
        cell_seconds=seconds,
    )


def _may_raise(cell: NotebookNode) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])
