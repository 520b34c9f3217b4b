"""The bridge to nbval's measurement of coverage, which talks to a kernel of its own kind.

Nothing here knows what is measured.
"""

from typing import Any

from coursekit.nbtest.session import NotebookSession

__all__ = ["CoverageKernel"]


class CoverageKernel:
    """A session in the form that nbval's coverage expects of a kernel."""

    def __init__(self, session: NotebookSession) -> None:
        self._session = session
        self.language = session.language
        self.kc = self

    def execute(self, code: str, **_: Any) -> None:
        """Execute code and wait for its end."""
        self._session.run_silently(code)

    def await_idle(self, *_: Any) -> None:
        """Do nothing: the code was waited for."""
