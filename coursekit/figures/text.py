"""Write numbers, fit text to a width, choose its color: before anything is drawn.

Nothing here knows of figures or axes; widths are inches.
"""

from functools import lru_cache
from typing import Literal

from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

__all__ = ["format_number", "readable_color", "text_height", "text_width", "wrap_text"]

_POINTS_PER_INCH = 72


@lru_cache(maxsize=4096)
def text_width(
    text: str, *, size: float, weight: Literal["normal", "bold"] = "normal"
) -> float:
    """Return the width in inches of the longest line of `text`, in DejaVu Sans.

    Parameters
    ----------
    text : str
    size : float
        Points.
    weight : {"normal", "bold"}

    Examples
    --------
    >>> text_width("wide", size=9) > text_width("thin", size=9)
    True
    """
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    widths = [
        text_to_path.get_text_width_height_descent(line, font, ismath=False)[0]
        for line in text.split("\n")
        if line
    ]
    return max(widths, default=0.0) / _POINTS_PER_INCH


def text_height(size: float) -> float:
    """Return the inches from one line of text to the next, for a font of `size` points."""
    return 1.2 * size / _POINTS_PER_INCH


def wrap_text(
    text: str,
    width: float,
    *,
    size: float,
    weight: Literal["normal", "bold"] = "normal",
) -> str:
    r"""Return `text` broken into lines that are at most `width` inches wide.

    Parameters
    ----------
    text : str
        Its own line breaks are kept.
    width : float
        Inches.
    size : float
        Points.
    weight : {"normal", "bold"}

    Returns
    -------
    str
        Words wider than a line are cut; no character is lost.

    Examples
    --------
    >>> wrap_text("a small red star", 0.8, size=9).split("\n")
    ['a small red', 'star']
    """
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if text_width(longer, size=size, weight=weight) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _cut_word(word, width, size, weight)
            lines.extend(full)
        lines.append(line)
    return "\n".join(lines)


def readable_color(background: tuple[float, ...] | str) -> Literal["black", "white"]:
    """Return the color of text that stands out from `background`.

    Examples
    --------
    >>> readable_color("navy"), readable_color("yellow")
    ('white', 'black')
    """
    red, green, blue = to_rgb(background)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def format_number(value: float) -> str:
    """Return `value` in at most three significant digits, numbers over 1,000 in full.

    Examples
    --------
    >>> [format_number(value) for value in (1200.0, 0.12345, 2.0)]
    ['1,200', '0.123', '2']
    """
    whole = float(value).is_integer() and abs(value) < 1e12
    large = 1e3 <= abs(value) < 1e12
    text = f"{round(value):,}" if whole or large else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _cut_word(
    word: str, width: float, size: float, weight: Literal["normal", "bold"]
) -> list[str]:
    pieces = [""]
    for character in word:
        if (
            pieces[-1]
            and text_width(pieces[-1] + character, size=size, weight=weight) > width
        ):
            pieces.append("")
        pieces[-1] += character
    return pieces
