"""Compare what a cell shows with what is stored, within the ranges that `refresh` measured.

Words must be equal. A number may be where a measured run had it, and as far again outside:
tolerances are measured, not guessed (`coursekit.nbtest.refresh`).
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from coursekit.nbtest.shown import Number, Part, show_outputs

ITEMS = 200  # that a lesson counts accuracies on, where its metadata do not say it
_RTOL = 1e-4  # of a decimal number in a notebook that was never measured
_MOST_PLACES, _MOST_LINES = 8, 24  # told of one cell
_SIDE, _PARTS, _LOCAL = 128, 8, 5.0  # see `difference_of_pictures`


class Measured(NamedTuple):
    """What is known of the numbers of one cell, from several runs of its notebook."""

    is_known: bool = False  # else it is a draft: decimals may differ by 1e-4 of their size
    trains: bool = False  # it ran an optimizer, or shows what one decided
    # How far a number moved, below and above the stored value, by its place among all
    # numbers of the cell; None where it is a time or a size that nobody compares.
    ranges: Mapping[int, tuple[float, float] | None] = {}
    costs: bool = False  # no time and no size in bytes is compared
    items: int = ITEMS  # size of the set that accuracies are counted on
    widen: int = 1  # 2 on another architecture than that of the measured runs

    def allowed(self, number: Number, place: int) -> tuple[float, float] | None:
        """Return how far below and above its stored value a number may be."""
        found = self.ranges.get(place, (0.0, 0.0))
        if found is None or (self.costs and number.is_cost):
            return None
        width, floor = self.widen * (found[1] - found[0]), self._floor(number)
        return min(found[0] - width, -floor), max(found[1] + width, floor)

    def _floor(self, number: Number) -> float:
        size, unit = abs(number.value), number.unit
        floor = unit if number.kind in {"drawn", "picture"} else 0.0
        if not self.is_known and number.kind == "decimal":
            # Printing rounds: 0.69314999 and 0.69315001 print as 0.6931 and 0.6932. A last
            # digit that is larger than the tolerance is what the reader is told.
            floor = max(1e-8, _RTOL * size)
            floor = max(floor, unit) if unit / 2 <= floor else floor
        if self.trains and number.kind != "picture":
            two_items = 2 / self.items * (100 if number.is_percent else size <= 1)
            # A hundredth of a drawn number, or of the scale of gray, is what a reader would see.
            drawn = max(3 * unit, 0.01 * size)
            digit = {"integer": 2, "drawn": drawn}.get(number.kind, unit)
            floor = max(floor, digit, two_items)
        return floor


def compare_cell(
    stored: Sequence[Mapping[str, Any]],
    fresh: Sequence[Mapping[str, Any]],
    *,
    measured: Measured | None = None,
    words_only: bool = False,
    picture: Path | None = None,
) -> list[str]:
    """Return a message for every way in which the outputs of a cell differ.

    With `words_only` numbers may be any, as on a GPU. Pictures that differ are written side by
    side to `picture`.

    Examples
    --------
    >>> out = lambda text: [{"output_type": "stream", "name": "stdout", "text": text}]
    >>> print(compare_cell(out("3 of 4"), out("2 of 4"))[0].splitlines()[0])
    In what is printed: 1 of 2 numbers differs: stored 3, fresh 2; it must be equal.
    """
    before, after = show_outputs(stored), show_outputs(fresh)
    known = measured or Measured()
    found: list[str] = []
    place = 0
    for key in before | after:
        old, new = before.get(key), after.get(key)
        if old is None:
            found.append(f"An output is not stored: {new.title}")
            continue
        if new is None:
            found.append(f"An output is missing: {old.title}")
        elif old.kind != new.kind:
            told = f"Stored is {old.title}, a {old.kind}; "
            found.append(f"{told}fresh is {new.title}, a {new.kind}.")
        else:
            told = _compare_parts(old.parts, new.parts, known, place, words_only)
            if told and picture and old.picture and new.picture:
                told += _write_sheet(old.picture, new.picture, picture)
            found += told
        place += sum(len(part.numbers) for part in old.parts)
    return found


def _compare_parts(
    before: list[Part], after: list[Part], measured: Measured, place: int, words_only: bool
) -> list[str]:
    found: list[str] = []
    for old, new in zip_longest(before, after):
        if old is None or new is None:
            side, part = ("stored", old) if old else ("fresh", new)
            found.append(f"Only {side}: {part.where} {part.text[:80]}")
            continue
        if old.words != new.words:
            found.append(f"In {old.where}: {_say_words(old, new)}")
        elif len(old.numbers) != len(new.numbers):
            if not (measured.costs and any(n.is_cost for n in old.numbers)):
                counts = f"{len(old.numbers)} numbers stored, {len(new.numbers)} fresh"
                found.append(f"In {old.where}: {counts}")
        elif not words_only and old != new:
            found += _compare_numbers(old, new, measured, place)
        place += len(old.numbers)
    rest = len(found) - _MOST_PLACES
    return [*found[:_MOST_PLACES], *([f"... and {rest} more places"] if rest > 0 else [])]


def _compare_numbers(old: Part, new: Part, measured: Measured, place: int) -> list[str]:
    wrong = []
    for at, (low, high) in enumerate(zip(old.numbers, new.numbers, strict=True), place):
        allowed = measured.allowed(low, at)
        is_printed = low.kind in {"integer", "decimal"}
        if allowed is None or (is_printed and low.text == high.text):
            continue
        value = high.value
        if old.picture:
            value = difference_of_pictures(old.picture, new.picture)
        moved, room = value - low.value, 1e-6 * low.unit  # what floats lose
        is_same = allowed[0] - room <= moved <= allowed[1] + room
        is_same &= low.kind == high.kind or at in measured.ranges
        if not is_same and not (low.value != low.value and value != value):  # both NaN
            outside = max(allowed[0] - moved, moved - allowed[1], 0.0)
            wrong.append((outside / (low.unit or 1), low, high, moved, allowed, at))
    if not wrong:
        return []
    worst = max(wrong, key=lambda item: (item[0] == item[0], item[0]))
    _, low, high, moved, allowed, at = worst
    verb = "differs" if len(wrong) == 1 else "differ; the worst"
    head = f" (column {low.where!r})" if low.where.strip() else ""
    shown = f"{moved:.3g} away" if old.picture else high.text
    count = f"{len(wrong)} of {len(old.numbers)} numbers {verb}{head}"
    text = f"In {old.where}: {count}: stored {low.text}, fresh {shown}"
    if low.kind != high.kind and at not in measured.ranges:
        text += f", of another kind ({low.kind}, now {high.kind})"
    elif allowed == (0.0, 0.0):
        text += "; it must be equal"
    else:
        if at in measured.ranges:
            spread = (low.value + step for step in measured.ranges[at])
            text += "; measured {:.5g} to {:.5g}".format(*spread)
        text += f"; allowed {low.value + allowed[0]:.5g} to {low.value + allowed[1]:.5g}"
        text += f", outside by {max(allowed[0] - moved, moved - allowed[1]):.2g}"
        text += ", measured on another architecture: unproven" * (measured.widen > 1)
    lines = _diff(old.text, new.text) if low.kind in {"integer", "decimal"} else ""
    return [f"{text}.{lines}"]


def _say_words(old: Part, new: Part) -> str:
    pairs = zip_longest(old.words, new.words, fillvalue="(the end)")
    one, two = next(pair for pair in pairs if pair[0] != pair[1])
    words = f"the text differs: stored {one!r}, fresh {two!r}."
    return words.replace("'#'", "a number") + _diff(old.text, new.text)


def _diff(stored: str, fresh: str) -> str:
    lines = list(unified_diff(stored.split("\n"), fresh.split("\n"), n=1, lineterm=""))[3:]
    shown = [f"\n{line[:1]} {line[1:240]}" for line in lines[:_MOST_LINES]]
    rest = len(lines) - _MOST_LINES
    return "".join(shown) + (f"\n... and {rest} more lines" if rest > 0 else "")


def difference_of_pictures(stored: str, fresh: str) -> float:
    """Return how far two pictures in base64 are apart, as a share of the full scale.

    It is the root-mean-square difference of their colors, reduced to 128 x 128 pixels; or a
    fifth of it in the worst of 8 x 8 parts, if that is more. 1 where one has another size.
    """
    if stored == fresh:
        return 0.0
    import numpy as np
    from PIL import Image

    try:
        images = [_open(text) for text in (stored, fresh)]
    except (OSError, SyntaxError, ValueError):
        return 1.0
    if images[0].size != images[1].size:
        return 1.0
    size = tuple(min(_SIDE, -(-length // _PARTS) * _PARTS) for length in images[0].size)
    reduced = (image.resize(size, Image.Resampling.BOX) for image in images)
    low, high = (np.asarray(image, float) / 255 for image in reduced)
    shape = (_PARTS, size[1] // _PARTS, _PARTS, size[0] // _PARTS, 3)
    parts = ((low - high) ** 2).reshape(shape).mean(axis=(1, 3, 4))
    return float(max(parts.mean() ** 0.5, parts.max() ** 0.5 / _LOCAL))


def _open(text: str) -> Any:
    from PIL import Image

    return Image.open(BytesIO(b64decode(text))).convert("RGB")


def _write_sheet(stored: str, fresh: str, path: Path) -> list[str]:
    """Write both pictures and, of equal sizes, their difference; white is the same."""
    from PIL import Image, ImageChops

    path = path.with_name(re.sub(r"[^\w.-]+", "-", path.name))
    try:
        images = [_open(text) for text in (stored, fresh)]
        if images[0].size == images[1].size:
            images.append(ImageChops.invert(ImageChops.difference(*images)))
        widths = [image.width + 8 for image in images]
        height = max(image.height for image in images)
        sheet = Image.new("RGB", (sum(widths), height), "#888888")
        for place, image in enumerate(images):
            sheet.paste(image, (sum(widths[:place]), 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except (OSError, SyntaxError, ValueError):  # the difference is told all the same
        return []
    return [f"Side by side: {path}"]
