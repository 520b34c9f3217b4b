"""Compare the outputs of one cell with those that are stored.

Each kind of output has its comparison in a file of its own; what is chosen here is which.
Nothing here executes.
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import Directives
from coursekit.nbtest.html import compare_html, has_table
from coursekit.nbtest.pictures import compare_pictures
from coursekit.nbtest.streams import is_progress_bar, join_streams, without_progress_bars
from coursekit.nbtest.text import compare_text

__all__ = ["compare_outputs"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_FIGURE = "application/vnd.coursekit.figure+json"
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MARKUP = ("text/html", "image/svg+xml")
_NAMES = {"stdout": "what is printed", "stderr": "what is written to stderr"}


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """What holds for all outputs of a cell."""

    directives: Directives
    folder: Path
    name: str
    skip: Collection[str]
    sanitize: Callable[[str], str]


def compare_outputs(
    stored: Sequence[Mapping[str, Any]],
    fresh: Sequence[Mapping[str, Any]],
    directives: Directives,
    *,
    folder: Path,
    name: str,
    skip: Collection[str] = (),
    sanitize: Callable[[str], str] = str,
) -> list[Difference]:
    """Return every way in which the outputs of a cell differ from the stored ones.

    What is written to a stream is joined, wherever it stands between other outputs; all
    other outputs are compared in their order.

    Parameters
    ----------
    stored, fresh : sequence of mapping
        Outputs as nbformat reads them.
    directives : Directives
        Of the cell.
    folder : Path
        For the pictures that show differences.
    name : str
        Of notebook and cell, for the names of these pictures.
    skip : collection of str
        Streams and MIME types that are not compared.
    sanitize : callable
        Applied to every text on both sides, before anything is compared.

    Returns
    -------
    list of Difference
        Empty when nothing differs. Pictures of progress, in whatever form, never do.
    """
    comparison = _Comparison(
        directives=directives, folder=folder, name=name, skip=skip, sanitize=sanitize
    )
    found = _compare_streams(stored, fresh, comparison)
    before, after = _displays(stored), _displays(fresh)
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        numbered = (
            replace(comparison, name=f"{name}-{number}") if number > 1 else comparison
        )
        found += _compare_display(old, new, numbered)
    for old in before[len(after) :]:
        found.append(Difference(f"An output is missing: {_describe(old)}."))
    for new in after[len(before) :]:
        found.append(Difference(f"An output is not stored: {_describe(new)}."))
    return found


def _compare_streams(
    stored: Sequence[Mapping], fresh: Sequence[Mapping], comparison: _Comparison
) -> list[Difference]:
    texts = [join_streams(outputs) for outputs in (stored, fresh)]
    for streams in texts:
        if "stderr" in streams:
            streams["stderr"] = without_progress_bars(streams["stderr"])
    found = []
    for name in dict.fromkeys([*texts[0], *texts[1]]):
        old, new = (streams.get(name, "") for streams in texts)
        if name in comparison.skip or old == new:
            continue
        what = _NAMES.get(name, name)
        if not old.strip() or not new.strip():
            rule = "nothing is stored for it" if new.strip() else "it is missing"
            shown = _indent(new if new.strip() else old)
            if (old + new).strip():
                found.append(Difference(f"In {what}: {rule}:\n{shown}"))
            continue
        found += _named(what, _text(old, new, comparison))
    return found


def _displays(outputs: Sequence[Mapping]) -> list[Mapping[str, Any]]:
    return [
        output
        for output in outputs
        if output["output_type"] != "stream" and not is_progress_bar(output.get("data", {}))
    ]


def _compare_display(
    stored: Mapping, fresh: Mapping, comparison: _Comparison
) -> list[Difference]:
    is_error = [output["output_type"] == "error" for output in (stored, fresh)]
    if any(is_error) and not all(is_error):
        message = f"Stored is {_describe(stored)}, fresh is {_describe(fresh)}."
        return [Difference(message)]
    if all(is_error):
        return _compare_errors(stored, fresh, comparison)
    before, after = (_seen(output["data"], comparison) for output in (stored, fresh))
    found = []
    if missing := sorted(set(before) - set(after)):
        found.append(Difference(f"The output has no {' and no '.join(missing)} any more."))
    if added := sorted(set(after) - set(before)):
        words = " and ".join(added)
        found.append(Difference(f"The output has {words}, which is not stored."))
    comparison = _with_threshold(before, after, comparison)
    for mime in before:
        if mime in after:
            found += _named(
                mime, _compare_content(mime, before[mime], after[mime], comparison)
            )
    return found


def _with_threshold(
    stored: Mapping[str, Any], fresh: Mapping[str, Any], comparison: _Comparison
) -> _Comparison:
    """Let the picture of a figure differ as far as its numbers may."""
    if _FIGURE not in stored or _FIGURE not in fresh:
        return comparison
    from coursekit.nbtest.figure_data import choose_threshold, compare_figure_data

    data = stored[_FIGURE], fresh[_FIGURE]
    if compare_figure_data(*data, comparison.directives) is not None:
        return comparison
    rms = choose_threshold(*data, comparison.directives)
    return replace(comparison, directives=replace(comparison.directives, image_rms=rms))


def _compare_errors(
    stored: Mapping, fresh: Mapping, comparison: _Comparison
) -> list[Difference]:
    if stored["ename"] != fresh["ename"] and "ename" not in comparison.skip:
        message = f"Another error: stored {_describe(stored)}, fresh {_describe(fresh)}."
        return [Difference(message)]
    if "evalue" in comparison.skip:
        return []
    return _named("the error's words", _text(stored["evalue"], fresh["evalue"], comparison))


def _seen(data: Mapping[str, Any], comparison: _Comparison) -> dict[str, Any]:
    """Return the contents to compare; a table's text has no columns to set aside."""
    unseen = {_WIDGET, *comparison.skip}
    directives = comparison.directives
    if (directives.times or directives.memory) and has_table(
        "".join(data.get("text/html", ""))
    ):
        unseen.add("text/plain")
    return {mime: content for mime, content in data.items() if mime not in unseen}


def _compare_content(
    mime: str, stored: Any, fresh: Any, comparison: _Comparison
) -> Difference | None:
    if stored == fresh:
        return None
    if mime in _PICTURES:
        return _compare_pictures(mime, stored, fresh, comparison)
    if mime == _FIGURE:
        from coursekit.nbtest.figure_data import compare_figure_data

        return compare_figure_data(stored, fresh, comparison.directives)
    if mime in _MARKUP:
        texts = (comparison.sanitize("".join(text)) for text in (stored, fresh))
        return compare_html(*texts, comparison.directives)
    if isinstance(stored, str | list) and isinstance(fresh, str | list):
        return _text("".join(map(str, stored)), "".join(map(str, fresh)), comparison)
    words = (json.dumps(content, sort_keys=True, indent=1) for content in (stored, fresh))
    return _text(*words, comparison)


def _compare_pictures(
    mime: str, stored: str, fresh: str, comparison: _Comparison
) -> Difference | None:
    try:
        before, after = (b64decode("".join(text)) for text in (stored, fresh))
    except (binascii.Error, ValueError) as error:
        return Difference(f"The {mime} is no picture in base64 ({error}).")
    return compare_pictures(
        before,
        after,
        threshold=comparison.directives.image_rms,
        folder=comparison.folder,
        name=comparison.name,
    )


def _text(stored: str, fresh: str, comparison: _Comparison) -> Difference | None:
    sanitize = comparison.sanitize
    return compare_text(sanitize(stored), sanitize(fresh), comparison.directives)


def _named(what: str, difference: Difference | None) -> list[Difference]:
    if difference is None:
        return []
    return [replace(difference, message=f"In {what}: {difference.message}")]


def _describe(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "error":
        return f"the error {output['ename']}: {output['evalue']}"
    data = output["data"]
    kinds = ", ".join(mime for mime in data if mime not in {"text/plain", _WIDGET})
    words = " ".join("".join(data.get("text/plain", "")).split())
    words = words if len(words) <= 80 else f"{words[:80]} ..."
    return f"{words} ({kinds})" if kinds else words or "an empty output"


def _indent(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    shown = [f"    {line}" for line in lines[:20]]
    return "\n".join(
        shown + [f"    ... and {len(lines) - 20} more lines"] * (len(lines) > 20)
    )
