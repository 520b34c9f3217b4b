"""Execute a notebook in a fresh kernel of this Python, and say how it went.

The notebook that is given stays as it is; the executed copy comes back in the record.
Nothing here knows about lessons, files or terminals.
"""

import asyncio
import copy
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets import Unicode

from coursekit.cli.memory import PeakMemory, read_peak_memory

__all__ = ["CellFailure", "NotebookRun", "execute_notebook"]

_CELL_LINE = re.compile(r"Cell In\s?\[\d+\], line (\d+)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# One thread: the same numbers everywhere, and no quarrel with what else the machine does.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class CellFailure:
    """What stopped a notebook, and where.

    Parameters
    ----------
    cell : int or None
        Number of the code cell, counted from 1. None when no cell had started.
    source_line : str
        The line of the cell that failed; empty when it is not known.
    error : str
        One line: the kind of error and its message.
    """

    cell: int | None
    source_line: str
    error: str


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
    """

    notebook: NotebookNode
    n_cells: int
    n_done: int
    seconds: float
    peak_memory: PeakMemory
    failure: CellFailure | None


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
        Environment variables that the kernel sees besides those of this process.
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
    with tempfile.TemporaryFile() as words:
        execution = _Execution(copy.deepcopy(notebook), on_cell=on_cell, words=words)
        kernel = {
            "cwd": os.fspath(folder),
            "env": {**os.environ, **_ONE_THREAD, **(settings or {})},
            "stderr": words,
        }
        return execution.run(
            _Kernel(python=python, log=_silent_log()), kernel, timeout=timeout
        )


class _Kernel(AsyncKernelManager):
    """A kernel in one interpreter, whatever is registered under its name."""

    python = Unicode()

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Client(NotebookClient):
    """Executes cells; starting and ending the kernel is `_Execution`'s business.

    nbclient's own way turns Ctrl-C into a dead kernel.
    """

    @asynccontextmanager
    async def async_setup_kernel(self, **_: object) -> AsyncIterator[None]:
        yield


class _Execution:
    """What is known of a notebook while it runs."""

    def __init__(
        self,
        notebook: NotebookNode,
        *,
        on_cell: Callable[[int], object] | None,
        words: IO[bytes],
    ) -> None:
        self.notebook = notebook
        self.on_cell = on_cell
        self.words = words  # what the kernel's process writes to its standard error
        self.code = [
            index
            for index, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and cell.source.strip()
        ]
        self.current: int | None = None
        self.n_done = 0
        self.peak = PeakMemory(None, "no cell came to its end")
        self.process: subprocess.Popen | None = None

    def run(
        self, manager: AsyncKernelManager, kernel: Mapping, *, timeout: float | None
    ) -> NotebookRun:
        begin = time.perf_counter()
        client = _Client(
            self.notebook,
            km=manager,
            timeout=timeout,
            record_timing=False,
            coalesce_streams=True,
            log=_silent_log(),
            on_cell_execute=self._begin_cell,
            on_cell_executed=self._end_cell,
        )
        try:
            # Jupyter's sockets need a selector loop, which is not the default on Windows.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                failure = runner.run(self._execute(client, manager, kernel))
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        seconds = time.perf_counter() - begin
        n_cells = len(self.code)
        return NotebookRun(self.notebook, n_cells, self.n_done, seconds, self.peak, failure)

    async def _execute(
        self, client: _Client, manager: AsyncKernelManager, kernel: Mapping
    ) -> CellFailure | None:
        is_finished = False
        try:
            await manager.start_kernel(**kernel)
            self.process = manager.provisioner.process
            client.kc = manager.client()
            client.kc.start_channels()
            await client.kc.wait_for_ready(timeout=client.startup_timeout)
            client.kc.allow_stdin = False
            failure = await self._execute_cells(client)
            is_finished = failure is None
        except (OSError, RuntimeError) as error:  # from the start of the kernel
            failure = self._failure(f"The kernel did not start. {self._words() or error}")
        finally:
            if manager.has_kernel:
                await manager.shutdown_kernel(now=not is_finished)
            if client.kc is not None:
                client.kc.stop_channels()
        return failure

    async def _execute_cells(self, client: _Client) -> CellFailure | None:
        try:
            await client.async_execute()
        except CellExecutionError as error:
            return self._failure(f"{error.ename}: {error.evalue}", trace=error.traceback)
        except CellTimeoutError:
            return self._failure(f"The cell took longer than {client.timeout:g} seconds.")
        except DeadKernelError:
            if asyncio.current_task().cancelling():  # Ctrl-C, as nbclient sees it
                raise asyncio.CancelledError from None
            words = self._words()
            return self._failure(f"The kernel died {_how(self.process)}. {words}".rstrip())
        return None

    def _begin_cell(self, cell: NotebookNode, cell_index: int) -> None:  # noqa: ARG002
        self.current = cell_index

    def _end_cell(
        self, cell: NotebookNode, cell_index: int, execute_reply: Mapping
    ) -> None:
        self.peak = read_peak_memory(self.process.pid)
        is_expected = "raises-exception" in cell.metadata.get("tags", [])
        if execute_reply["content"]["status"] == "ok" or is_expected:
            self.n_done = self.code.index(cell_index) + 1
            if self.on_cell is not None:
                self.on_cell(self.n_done)

    def _failure(self, error: str, *, trace: str = "") -> CellFailure:
        error = _ANSI.sub("", error).strip()
        if self.current is None:
            return CellFailure(None, "", error)
        lines = self.notebook.cells[self.current].source.splitlines()
        found = _CELL_LINE.findall(_ANSI.sub("", trace))
        at = int(found[0]) - 1 if found else -1
        line = lines[at].strip() if 0 <= at < len(lines) else ""
        return CellFailure(self.code.index(self.current) + 1, line, error)

    def _words(self) -> str:
        """Return the last line that the kernel's process wrote to its standard error."""
        self.words.seek(0)
        lines = self.words.read().decode("utf-8", "replace").strip().splitlines()
        return "" if not lines or "WARNING" in lines[-1] else lines[-1].strip()


def _how(process: subprocess.Popen) -> str:
    code = process.poll()
    if code is None:
        return "without an exit code"
    if code < 0:
        return f"with exit code {code} ({_signal_name(-code)})"
    return f"with exit code {code}"


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name
    return f"{name}: often too little memory" if name == "SIGKILL" else name


def _silent_log() -> logging.Logger:
    """Return a log for nbclient that says nothing: failures come back in the record."""
    log = logging.getLogger("coursekit.execute")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log
