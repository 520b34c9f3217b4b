"""Links in a notebook's text, and paths of somebody's machine in its outputs.

Nothing here knows of cells and rules beyond these two.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = ["MACHINE_PATH", "find_bad_links", "find_machine_paths"]

# What is code or a formula is no link.
_ASIDE = re.compile(
    r"```.*?```|~~~.*?~~~|(?P<ticks>`+).*?(?P=ticks)|\$\$.*?\$\$|(?<!\\)\$[^$\n]+\$",
    re.DOTALL,
)
_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\((?P<target>[^)]*)\)"
)
_REFERENCE = re.compile(r"\[[^\]]+\]\[[^\]]*\]|^\s*\[[^\]]+\]:\s+\S+", re.MULTILINE)
_ADDRESS = re.compile(r"\b(?:https?|ftp|file)://\S+|\bwww\.\S+")
_OTHER_FORMS = (
    (re.compile(r"<(a|img)\b[^>]*>", re.IGNORECASE), "{} is HTML: write [words](target)."),
    (_REFERENCE, "{} is a reference: write [words](target)."),
    (_ADDRESS, "{} stands bare: write [the page's title](address)."),
)
_EMPTY_WORDS = {"", "here", "click here", "link", "this", "this link", "see here"}
_ARXIV_FILE = re.compile(r"https://arxiv\.org/pdf/")
MACHINE_PATH = re.compile(
    r"(?<![\w.:/<-])"
    r"(/(?:home|Users|root|tmp|var|private|work|workspace|mnt|media|opt|usr|srv|content|kaggle)"
    r"/[^\s'\"<>)]+|[A-Za-z]:\\+(?:Users|Temp|Windows|Program Files)\\+[^\s'\"<>]+)"
)
"""A path outside the notebook's own folder, as it is on one machine."""


def find_bad_links(markdown: str, *, folder: Path) -> list[str]:
    """Return what is wrong with the links of a text.

    The form of the course is ``[Title of the page](https://...)``, or the relative path of a
    file that exists; for papers on arXiv the page of the abstract.

    Parameters
    ----------
    markdown : str
    folder : Path
        That relative paths begin in.

    Returns
    -------
    list of str
        A sentence for each link.

    Examples
    --------
    >>> find_bad_links("See [here](https://example.org).", folder=Path())
    ["the link to https://example.org has the words 'here': name what stands there."]
    """
    rest = _ASIDE.sub(" ", markdown)
    found = [text for link in _LINK.finditer(rest) for text in _check_link(link, folder)]
    for form, complaint in _OTHER_FORMS:
        rest = _LINK.sub(" ", rest)
        found += [complaint.format(match[0].strip()) for match in form.finditer(rest)]
        rest = form.sub(" ", rest)
    return found


def find_machine_paths(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each path of somebody's machine that outputs show.

    Parameters
    ----------
    outputs : iterable of mapping
        Of one cell, as nbformat reads them.

    Examples
    --------
    >>> find_machine_paths([{"output_type": "stream", "text": "saved to /home/ada/a.png"}])
    ["an output shows a path of this machine, '/home/ada/a.png': print the file's name."]
    """
    paths = dict.fromkeys(
        match[0]
        for output in outputs
        for text in _texts(output)
        for match in MACHINE_PATH.finditer(text)
    )
    return [
        f"an output shows a path of this machine, {path!r}: print the file's name."
        for path in paths
    ]


def _check_link(link: re.Match, folder: Path) -> Iterator[str]:
    target, words = link["target"].strip(), " ".join(link["text"].split())
    inner = _LINK.fullmatch(words)
    if inner:  # a picture that is a link, such as a badge
        yield from _check_link(inner, folder)
        words = inner["text"]
    if words.lower() in _EMPTY_WORDS:
        yield f"the link to {target} has the words {words!r}: name what stands there."
    if _ADDRESS.match(words):
        yield f"the link to {target} has an address for its words: name what stands there."
    if _ARXIV_FILE.match(target):
        yield f"{target} is a file: link the page of the abstract, https://arxiv.org/abs/."
    if target.startswith(("https://", "#", "attachment:")):
        return
    if (
        "://" in target
        or target.startswith(("/", "\\", "~", "www.", "mailto:"))
        or not target
    ):
        yield f"the target {target!r} is neither an https address nor a relative path."
    elif not (folder / unquote(target.partition("#")[0])).exists():
        yield f"the target {target!r} is no file beside this notebook."


def _texts(output: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of an output is text, without the pictures."""
    for value in (output.get("text"), output.get("evalue"), output.get("traceback")):
        yield _joined(value)
    for mime, value in output.get("data", {}).items():
        if not mime.startswith("image/") or mime == "image/svg+xml":
            yield str(value) if isinstance(value, Mapping) else _joined(value)


def _joined(value: str | list[str] | None) -> str:
    return "\n".join(value) if isinstance(value, list) else value or ""
