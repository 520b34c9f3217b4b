r"""What a cell printed, as a reader sees it: pieces joined, lines rewritten, no progress bars.

Nothing here compares.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from nbformat import NotebookNode

__all__ = ["is_progress_bar", "join_streams", "merge_streams", "without_progress_bars"]

_REWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
_BACKSPACE = re.compile(r"[^\n]\x08")
_CURSOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# tqdm: `name:  45%|####5     | 9/20 [00:01<00:02, 5.1it/s]`, or `9it [00:01, 5.1it/s]`.
_BAR = re.compile(
    r"^[^\n|]*?\d{1,3}%\|[^\n|]*\|[^\n\[]*(?:\[[^\]\n]*\]?)?"
    r"|^[^\n\[]*?\b\d[\d.]*[kMG]?[A-Za-z]* ?\[\d+:\d\d(?::\d\d)?, [^\]\n]*/[^\]\n]*\]",
    re.MULTILINE,
)
_WIDGET_BAR = re.compile(
    r"^\s*(?:HBox\(children=.*(?:Float|Int)Progress|[^\n|]*\d{1,3}%\|.*\||[^\n]*\d+it \[)",
    re.DOTALL,
)


def join_streams(outputs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    r"""Return what a cell wrote to each stream.

    Parameters
    ----------
    outputs : iterable of mapping
        Of one cell, as nbformat reads them; other outputs than streams are left out.

    Returns
    -------
    dict of str to str
        Stream name to text. ``\r`` and ``\b`` have done their work.

    Examples
    --------
    >>> pieces = ("1 of 2", "\r2 of 2", "\n")
    >>> join_streams({"output_type": "stream", "name": "stdout", "text": t} for t in pieces)
    {'stdout': '2 of 2\n'}
    """
    texts: dict[str, str] = {}
    for output in outputs:
        if output["output_type"] == "stream":
            name = output["name"]
            texts[name] = texts.get(name, "") + "".join(output["text"])
    return {name: _as_seen(text) for name, text in texts.items()}


def merge_streams(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Return the outputs of a cell with each stream in one piece, where its first one stood.

    What was written to stdout stands above stderr when nothing is between them: in which
    order pieces of the two arrive is chance.
    """
    texts = join_streams(outputs)
    merged: list[NotebookNode] = []
    for output in outputs:
        if output["output_type"] != "stream":
            merged.append(output)
        elif output["name"] in texts:
            merged.append(NotebookNode(output, text=texts.pop(output["name"])))
    for place, (one, two) in enumerate(pairwise(merged)):
        if (one.get("name"), two.get("name")) == ("stderr", "stdout"):
            merged[place : place + 2] = [two, one]
            break
    return merged


def without_progress_bars(text: str) -> str:
    """Return what was written to stderr besides progress bars.

    Warnings stay, also one that was written behind a bar, on its line.
    """
    kept = [_BAR.sub("", line) for line in _CURSOR.sub("", text).split("\n")]
    return "\n".join(line for line in kept if line.strip())


def is_progress_bar(data: Mapping[str, Any]) -> bool:
    """Return whether a display is a widget that shows progress and nothing else.

    Parameters
    ----------
    data : mapping
        MIME type to content.
    """
    is_widget = "application/vnd.jupyter.widget-view+json" in data
    return is_widget and bool(_WIDGET_BAR.match("".join(data.get("text/plain", ""))))


def _as_seen(text: str) -> str:
    text = text.replace("\r\n", "\n")
    while (shorter := _BACKSPACE.sub("", text)) != text:
        text = shorter
    return _REWRITTEN.sub("", text)
