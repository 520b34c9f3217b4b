"""Execute the cells of a notebook in one kernel, by nbclient, and say how it went."""

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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from coursekit.nbtest.machines import kernel_environment
from coursekit.nbtest.shown import ANSI

_SILENT = logging.Logger("coursekit.nbtest", logging.CRITICAL + 1)  # failures are returned


class CellFailure(NamedTuple):
    """What stopped a notebook, and where."""

    cell: int | None  # from 1 among the cells with code; None when no cell had started
    error: str  # one line: the kind of error and its message
    source_line: str = ""  # the line that failed, where it is known
    traceback: str = ""


@dataclass
class NotebookRun:
    """A notebook that was executed; `failure` is None when every cell ran."""

    notebook: NotebookNode
    n_cells: int
    n_done: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None  # largest resident memory of the kernel, where measured
    failure: CellFailure | None = None
    trained: frozenset[int] = frozenset()  # cells that ran an optimizer, where watched


class NotebookSession:
    """One kernel in `folder`, and a copy of one notebook whose cells are executed in it.

    `settings` are environment variables that win over `kernel_environment`; `timeout` is in
    seconds, for each cell, and None waits for ever.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        folder: str | os.PathLike[str],
        settings: Mapping[str, str] | None,
        timeout: float | None,
    ) -> None:
        self.notebook = copy.deepcopy(notebook)
        cells = enumerate(self.notebook.cells)
        self.code = [n for n, c in cells if c.cell_type == "code" and c.source.strip()]
        self.timeout = timeout
        null = subprocess.DEVNULL  # for the kernel's own log
        self._arguments = {"cwd": str(folder), "stdout": null, "stderr": null}
        self._arguments["env"] = kernel_environment(settings)
        self._manager = _ThisPython(log=_SILENT)
        self._client = NotebookClient(
            self.notebook,
            km=self._manager,
            timeout_func=lambda _: timeout,
            iopub_timeout=30,
            record_timing=False,
            coalesce_streams=True,
            skip_cells_with_tag="",
            log=_SILENT,
        )
        self._process: Any = None
        # Jupyter's sockets need a selector loop, which is not the default on Windows.
        self._loop = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)

    def start(self) -> CellFailure | None:
        """Start the kernel, and return why it did not start, or None."""
        try:
            self._loop.run(self._client.async_start_new_kernel(**self._arguments))
            self._process = getattr(self._manager.provisioner, "process", None)
            self._loop.run(self._client.async_start_new_kernel_client())
        except (OSError, RuntimeError) as error:
            return CellFailure(None, f"The kernel did not start. {error}")
        return None

    def run_cell(self, index: int, *, may_raise: bool = False) -> CellFailure | None:
        """Execute one cell; its outputs then stand in `notebook`."""
        cell, number = self.notebook.cells[index], sum(n <= index for n in self.code)
        self._client.allow_errors = may_raise
        try:
            self._loop.run(self._client.async_execute_cell(cell, index))
        except CellExecutionError as error:
            raised = [out for out in cell.outputs if out.output_type == "error"]
            trace = ANSI.sub("", "\n".join(raised[-1].traceback)) if raised else ""
            found = re.search(r"Cell In\s?\[\d+\], line (\d+)", trace)
            lines = cell.source.splitlines()[int(found[1]) - 1 :] if found else []
            words = ANSI.sub("", f"{error.ename}: {error.evalue}").strip()
            return CellFailure(number, words, lines[0].strip() if lines else "", trace)
        except CellTimeoutError:
            self.kill()
            said = f"The cell took longer than {self.timeout:g} seconds."
            return CellFailure(number, said)
        except DeadKernelError:
            code = self._process.poll()
            if code is None:  # Ctrl-C, as nbclient sees it
                raise KeyboardInterrupt from None
            self.kill()
            memory = " (SIGKILL: often too little memory)" if code == -9 else ""
            return CellFailure(number, f"The kernel died with exit code {code}{memory}.")
        return None

    def call_in_kernel(self, name: str) -> None:
        """Call a function of `coursekit.nbtest.machines`, which belongs to no cell."""
        code = f"__import__('coursekit.nbtest.machines', fromlist='_').{name}()"
        request = self._client.kc.execute(code, store_history=False)
        self._loop.run(self._client.async_wait_for_reply(request))

    def peak_bytes(self) -> int | None:
        """Return the largest resident memory of the running kernel, where Linux keeps it."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text("ascii", "ignore")
        except (OSError, AttributeError):
            return None
        found = re.search(r"(?m)^VmHWM:\s+(\d+) kB$", status)
        return int(found[1]) * 1024 if found else None

    def close(self) -> None:
        """End the kernel, and what it started and left behind."""
        # Ctrl-C may have come when the process was there and `start` not done with it.
        self._process = self._process or getattr(self._manager.provisioner, "process", None)
        try:
            if self._manager.has_kernel:
                is_dead = self._process.poll() is not None
                self._loop.run(self._manager.shutdown_kernel(now=is_dead))
        finally:
            if self._client.kc is not None:
                self._client.kc.stop_channels()
            self.kill()
            self._loop.close()

    def kill(self) -> None:
        """End the process at once; a kernel leads a process group of its own."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with suppress(AttributeError, ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


class _ThisPython(AsyncKernelManager):
    """A kernel in this interpreter, whatever is registered under its name."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def execute_notebook(
    notebook: NotebookNode,
    *,
    folder: str | os.PathLike[str],
    settings: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_start: Callable[[NotebookSession], object] = lambda _: None,
    on_cell: Callable[[int], object] = lambda _: None,
    watch: bool = False,
) -> NotebookRun:
    """Return the record of a notebook executed from top to bottom in a fresh kernel.

    `on_start` gets the session, so that somebody else can kill it, and `on_cell` the number of
    code cells done so far. With `watch`, cells that train are noted, and the jitter that
    `settings` ask for is added. The rest is as `NotebookSession` takes it.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        steps = Path(scratch, "steps")
        steps.touch()
        settings = dict(settings or {}) | ({"COURSEKIT_STEPS": str(steps)} if watch else {})
        session = NotebookSession(notebook, folder, settings, timeout)
        run = NotebookRun(session.notebook, len(session.code))
        on_start(session)
        try:
            run.failure = session.start()
            if watch and run.failure is None:
                session.call_in_kernel("watch_optimizers")
            for index in session.code if run.failure is None else ():
                tags = session.notebook.cells[index].metadata.get("tags", ())
                n_steps = steps.stat().st_size
                run.failure = session.run_cell(index, may_raise="raises-exception" in tags)
                if steps.stat().st_size > n_steps:
                    run.trained |= {run.n_done + 1}
                if run.failure is not None:
                    break
                run.n_done += 1
                run.peak_bytes = session.peak_bytes()
                on_cell(run.n_done)
        finally:
            session.close()
    run.seconds = time.perf_counter() - begin
    return run
