"""Start a kernel, end it, and say how it ended.

Nothing here knows of cells.
"""

import asyncio
import logging
import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import IO, Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec, NoSuchKernel, find_kernel_specs
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type, Unicode

from coursekit.nbtest.environment import kernel_environment
from coursekit.nbtest.memory import PeakMemory, read_peak_memory

__all__ = ["Kernel", "KernelStartError", "silent_log"]

_LOOK_AGAIN = 0.25  # seconds
_TIDY_UP = 10.0  # seconds that a kernel may take to end by itself


class KernelStartError(Exception):
    """A kernel did not start; the message says why and what to do."""


class Kernel:
    """One kernel's process, and a client that talks to it.

    Parameters
    ----------
    folder : path-like
        The folder that the kernel works in.
    name : str or None
        Under which a kernel is registered with Jupyter; None for the interpreter below.
    python : str
        The interpreter of a Python kernel.
    settings : mapping of str to str, optional
        Environment variables that the kernel sees besides those of `kernel_environment`.
    """

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str],
        name: str | None = None,
        python: str = sys.executable,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.client: AsyncKernelClient | None = None
        log = silent_log()
        if name is None:
            self._manager: AsyncKernelManager = _ThisPython(python=python, log=log)
        else:
            self._manager = AsyncKernelManager(kernel_name=name, log=log)
        self._manager.client_factory = _KernelClient
        self._folder = Path(folder)
        self._settings = settings
        self._words: IO[bytes] | None = None  # what its process writes to its own streams
        self._process = None

    async def start(self, *, timeout: float) -> AsyncKernelClient:
        """Start the process and return its client, once it answers.

        Parameters
        ----------
        timeout : float
            Seconds that the kernel may take.

        Returns
        -------
        AsyncKernelClient

        Raises
        ------
        KernelStartError
            If there is no such kernel, or it does not answer.
        """
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        try:
            # History in memory: kernels that run at the same time share no file.
            history = ["--HistoryManager.hist_file=:memory:"] if self._is_python else []
            await self._manager.start_kernel(
                cwd=str(self._folder),
                env=kernel_environment(self._settings),
                stdout=self._words,
                stderr=self._words,
                extra_arguments=history,
            )
            self._process = getattr(self._manager.provisioner, "process", None)
            self.client = self._manager.client()
            self.client.start_channels()
            await self.client.wait_for_ready(timeout=timeout)
        except NoSuchKernel:
            raise KernelStartError(self._say_no_such_kernel()) from None
        except (OSError, RuntimeError) as error:
            msg = f"The kernel did not start. {self.last_words() or error}"
            raise KernelStartError(msg) from None
        self.client.allow_stdin = False
        return self.client

    @property
    def manager(self) -> AsyncKernelManager:
        """What nbclient asks for."""
        return self._manager

    @property
    def language(self) -> str:
        """In lower case, such as ``"python"``."""
        spec = self._manager.kernel_spec
        return spec.language.lower() if spec is not None else ""

    @property
    def _is_python(self) -> bool:
        return self.name is None or bool(getattr(self._manager, "ipykernel", False))

    def peak_memory(self) -> PeakMemory:
        """Return the largest resident memory of the process so far."""
        if self._process is None:
            return PeakMemory(None, "the kernel runs elsewhere")
        return read_peak_memory(self._process.pid)

    def describe_death(self) -> str:
        """Return how the process ended, with its last words."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            how = "without an exit code"
        elif code < 0:
            how = f"with exit code {code} ({_signal_name(-code)})"
        else:
            how = f"with exit code {code}"
        return f"The kernel died {how}. {self.last_words()}".rstrip()

    def last_words(self) -> str:
        """Return the last line that the process wrote to its own standard error."""
        if self._words is None:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        return "" if not lines or "WARNING" in lines[-1] else lines[-1].strip()

    async def end(self, *, now: bool) -> None:
        """Stop the process; without `now` it may tidy up first."""
        try:
            if self._manager.has_kernel:
                if not now:
                    await self._tidy_up()
                await self._manager.shutdown_kernel(now=True)
        finally:
            if self.client is not None:
                self.client.stop_channels()
            self.kill()
            if self._words is not None:
                self._words.close()
                self._words = None

    async def _tidy_up(self) -> None:
        """Ask the kernel to end by itself, and wait; the manager waits in longer steps."""
        await self._manager.request_shutdown()
        end = monotonic() + _TIDY_UP
        while self._process is not None and self._process.poll() is None:
            if monotonic() > end:
                return
            await asyncio.sleep(0.01)

    def kill(self) -> None:
        """End what is left of the process, and what it started and left behind."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if hasattr(os, "killpg"):  # a kernel leads a process group of its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _say_no_such_kernel(self) -> str:
        names = ", ".join(sorted(find_kernel_specs())) or "none"
        return (
            f"No kernel named {self.name!r} is registered with Jupyter here; there is: "
            f"{names}. Install it, or run the notebook in the Python of pytest with "
            "--nbval-current-env."
        )


class _Channel(AsyncZMQSocketChannel):
    """A channel that looks again for messages, four times a second.

    nbclient answers an Output widget on the channel on which it waits for the end of the
    cell. Then the signal that a message has come can be lost, though the message is there.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        end = math.inf if timeout is None else monotonic() + timeout
        while True:
            try:
                wait = min(_LOOK_AGAIN, max(0.0, end - monotonic()))
                return await super().get_msg(timeout=wait)
            except Empty:
                if monotonic() >= end:
                    raise


class _KernelClient(AsyncKernelClient):
    """A client with our channel for requests."""

    shell_channel_class = Type(_Channel)


class _ThisPython(AsyncKernelManager):
    """A kernel in one interpreter, whatever is registered under its name."""

    python = Unicode()

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def silent_log() -> logging.Logger:
    """Return a log for Jupyter's parts that says nothing: failures come back in records."""
    log = logging.getLogger("coursekit.nbtest")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    log.setLevel(logging.CRITICAL + 1)
    return log


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}: often too little memory" if name == "SIGKILL" else name
