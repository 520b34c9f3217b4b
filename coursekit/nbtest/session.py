"""The cells of one notebook, executed one by one in one kernel, recorded as Jupyter does.

Nothing here knows of lessons, of stored outputs, of pytest or terminals.
"""

import asyncio
import copy
import os
import re
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from coursekit.nbtest.kernels import Kernel, KernelStartError, silent_log
from coursekit.nbtest.memory import PeakMemory
from coursekit.nbtest.streams import merge_streams

__all__ = ["CellFailure", "CellRun", "NotebookSession"]

_CELL_LINE = re.compile(r"Cell In\s?\[\d+\], line (\d+)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ENOUGH_FOR_OUTPUT = 30  # seconds between a kernel's answer and its last output


@dataclass(frozen=True)
class CellFailure:
    """What stopped a notebook, and where.

    Parameters
    ----------
    cell : int or None
        Number of the code cell, counted from 1 among those with code. None when no cell had
        started.
    source_line : str
        The line of the cell that failed; empty when it is not known.
    error : str
        One line: the kind of error and its message.
    kind : {"error", "time-out", "dead kernel", "no kernel"}
        After all but an error the kernel is gone.
    traceback : str
        As the kernel shows it, without colors; empty for other kinds than errors.
    """

    cell: int | None
    source_line: str
    error: str
    kind: Literal["error", "time-out", "dead kernel", "no kernel"] = "error"
    traceback: str = ""


@dataclass(frozen=True)
class CellRun:
    """One cell that was executed.

    Parameters
    ----------
    seconds : float
        Wall time.
    failure : CellFailure or None
        None when the cell came to its end, or failed as it may.
    """

    seconds: float
    failure: CellFailure | None = None


class NotebookSession:
    """One kernel, and a copy of one notebook whose cells are executed in it.

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
    startup_timeout : float
        Seconds that the kernel may take to start.
    kernel_name : str, optional
        Under which a kernel is registered with Jupyter; by default `python` runs the cells,
        whatever is registered.
    python : str
        The interpreter of the kernel; this one by default.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        *,
        folder: str | os.PathLike[str],
        settings: Mapping[str, str] | None = None,
        timeout: float | None = None,
        startup_timeout: float = 60,
        kernel_name: str | None = None,
        python: str = sys.executable,
    ) -> None:
        self.notebook = copy.deepcopy(notebook)
        self.peak_memory = PeakMemory(None, "no cell came to its end")
        self.code = [
            index
            for index, cell in enumerate(self.notebook.cells)
            if cell.cell_type == "code" and cell.source.strip()
        ]
        self._timeout = timeout
        self._startup_timeout = startup_timeout
        self._kernel = Kernel(
            folder=folder, name=kernel_name, python=python, settings=settings
        )
        self._client: NotebookClient | None = None
        # Jupyter's sockets need a selector loop, which is not the default on Windows.
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self.start_seconds = 0.0
        self.is_running = False
        self._is_finished = True

    def start(self) -> CellFailure | None:
        """Start the kernel, and return why it did not start, or None."""
        begin = time.perf_counter()
        failure = self._run(self._start())
        self.start_seconds = time.perf_counter() - begin
        return failure

    def run_cell(self, index: int, *, may_raise: bool = False) -> CellRun:
        """Execute one cell; its outputs then stand in `notebook`.

        Parameters
        ----------
        index : int
            Place of a code cell among all cells.
        may_raise : bool
            Whether an error is no failure.

        Returns
        -------
        CellRun
        """
        begin = time.perf_counter()
        was_finished, self._is_finished = self._is_finished, False  # until it has ended
        failure = self._run(self._execute(index, may_raise=may_raise))
        seconds = time.perf_counter() - begin
        if failure is None or failure.kind == "error":
            self.peak_memory = self._kernel.peak_memory()
        else:
            self._kernel.kill()
            self.is_running = False
        self._is_finished = was_finished and failure is None
        return CellRun(seconds, failure)

    def outputs_of(self, index: int) -> list[NotebookNode]:
        """Return the fresh outputs of a cell, each stream in one piece.

        A later cell may still change them, through a display's handle.
        """
        return merge_streams(self.notebook.cells[index].outputs)

    def may_change_later(self, index: int) -> bool:
        """Return whether a cell has a display that later cells can update."""
        places = self._client._display_id_map.values() if self._client else ()
        return any(place.get(index) for place in places)

    def run_silently(self, code: str) -> None:
        """Execute code that belongs to no cell; its outputs are lost."""
        self._run(self._execute_silently(code))

    @property
    def language(self) -> str:
        """Of the kernel, in lower case."""
        return self._kernel.language

    def close(self) -> None:
        """End the kernel; it may tidy up first, unless something failed."""
        try:
            self._run(self._kernel.end(now=not (self.is_running and self._is_finished)))
        finally:
            self.is_running = False
            self._kernel.kill()
            self._runner.close()

    def finish(self) -> None:
        """Put widgets' states and merged streams into `notebook`, after its last cell."""
        for index in self.code:
            self.notebook.cells[index].outputs = self.outputs_of(index)
        if self._client is not None:
            self._client.set_widgets_metadata()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    async def _start(self) -> CellFailure | None:
        try:
            channels = await self._kernel.start(timeout=self._startup_timeout)
        except KernelStartError as error:
            await self._kernel.end(now=True)
            return self._failure(None, str(error), kind="no kernel")
        self._client = NotebookClient(
            self.notebook,
            km=self._kernel.manager,
            timeout_func=lambda _: self._timeout,
            iopub_timeout=_ENOUGH_FOR_OUTPUT,
            record_timing=False,
            skip_cells_with_tag="",
            log=silent_log(),
        )
        self._client.kc = channels
        message = await self._client.async_wait_for_reply(channels.kernel_info())
        if message is not None and "language_info" in message["content"]:
            self.notebook.metadata["language_info"] = message["content"]["language_info"]
        self.is_running = True
        return None

    async def _execute(self, index: int, *, may_raise: bool) -> CellFailure | None:
        cell = self.notebook.cells[index]
        self._client.allow_errors = may_raise
        try:
            await self._client.async_execute_cell(cell, index)
        except CellExecutionError as error:
            words = f"{error.ename}: {error.evalue}"
            return self._failure(index, words, trace=_traceback(cell))
        except CellTimeoutError:
            words = f"The cell took longer than {self._timeout:g} seconds."
            return self._failure(index, words, kind="time-out")
        except DeadKernelError:
            if asyncio.current_task().cancelling():  # Ctrl-C, as nbclient sees it
                raise asyncio.CancelledError from None
            return self._failure(index, self._kernel.describe_death(), kind="dead kernel")
        return None

    async def _execute_silently(self, code: str) -> None:
        request = self._client.kc.execute(code, store_history=False)
        await self._client.async_wait_for_reply(request)

    def _failure(
        self, index: int | None, error: str, *, kind: str = "error", trace: str = ""
    ) -> CellFailure:
        error, trace = _ANSI.sub("", error).strip(), _ANSI.sub("", trace)
        if index is None:
            return CellFailure(None, "", error, kind)
        lines = self.notebook.cells[index].source.splitlines()
        found = _CELL_LINE.findall(trace)
        at = int(found[0]) - 1 if found else -1
        line = lines[at].strip() if 0 <= at < len(lines) else ""
        return CellFailure(self.code.index(index) + 1, line, error, kind, trace)


def _traceback(cell: NotebookNode) -> str:
    errors = [out for out in cell.outputs if out.output_type == "error"]
    return "\n".join(errors[-1].traceback) if errors else ""
