"""Numbers in a text: where they stand, and whether two of them agree.

A text is cut into tokens: integers, decimal numbers, words, signs, and the ends of lines
that stand outside brackets. Padding is no token, so arrays and tables are the same however
they are aligned. Nothing here knows what is set aside, or where a text comes from.
"""

import re
from decimal import Decimal
from typing import NamedTuple

from coursekit.nbtest.directives import Directives

__all__ = ["Token", "agree", "describe_gap", "tokenize"]

_TOKEN = re.compile(
    r"""
      (?P<newline>\n)
    | (?P<space>[^\S\n]+)
    | (?P<version>\d+(?:\.\d+){2,})
    | (?P<number>(?:(?<![\w)\]}.])[-+])?
        (?: (?:\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+) (?:\.\d*)? | (?<![\w.])\.\d+ )
        (?:[eE][-+]?\d+(?!\w))?)
    | (?P<word>[^\W\d]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE,
)
_OPENING = {"(": ")", "[": "]", "{": "}"}
_CLOSING = frozenset(_OPENING.values())


class Token(NamedTuple):
    """A part of a text that is compared as one."""

    kind: str
    """``"integer"``, ``"decimal"``, ``"word"``, or ``"end"`` of a line."""
    text: str
    """As it is printed."""
    line: int
    """Where it begins, counted from 0."""


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a text.

    Parameters
    ----------
    text : str
        Of any length.

    Returns
    -------
    list of Token
        Without padding, and without the ends of lines inside brackets or at the end.

    Examples
    --------
    >>> [token.text for token in tokenize("array([1.  , 2.5])")]
    ['array', '(', '[', '1.', ',', '2.5', ']', ')']
    """
    tokens: list[Token] = []
    line = 0
    for match in _TOKEN.finditer(text):
        kind, part = match.lastgroup, match[0]
        if kind == "newline":
            tokens.append(Token("end", "\n", line))
            line += 1
        elif kind == "number":
            is_list = match.start() > 0 and text[match.start() - 1] in "[({,"
            tokens.extend(_number_tokens(part, line, is_list=is_list))
        elif kind != "space":
            tokens.append(Token("word", part, line))
    inside = _inside_brackets(tokens)
    return _without_last_ends(_settle(tokens, inside))


def agree(stored: Token, fresh: Token, directives: Directives) -> bool:
    """Return whether two tokens say the same.

    Parameters
    ----------
    stored, fresh : Token
        Integers agree within `counts`, decimal numbers within the larger of `atol` and
        `rtol`, everything else if it is equal. An integer never agrees with a decimal
        number.
    directives : Directives
        Of the cell.

    Returns
    -------
    bool

    Notes
    -----
    Printing rounds: 0.69314999 and 0.69315001 agree by far, but print as 0.6931 and 0.6932.
    So decimal numbers that are one unit of their last printed digit apart agree too, but
    only if half of that unit, all that rounding can hide, is within the tolerance. With
    ``rtol=1e-4`` that holds for 0.6931 (half a unit is 0.00005, the tolerance 0.00007) and
    not for 0.98 (0.005 against 0.0001), whose last digit is what the reader is told.
    """
    if stored.text == fresh.text or stored.kind != fresh.kind:
        return stored.text == fresh.text and stored.kind == fresh.kind
    if stored.kind == "integer":
        return abs(_value(stored) - _value(fresh)) <= directives.counts
    if stored.kind != "decimal":
        return False
    before, after = _value(stored), _value(fresh)
    allowed = max(_decimal(directives.atol), _decimal(directives.rtol) * abs(before))
    unit = max(_last_digit(stored), _last_digit(fresh))
    if unit / 2 <= allowed:
        allowed = max(allowed, unit)
    return abs(before - after) <= allowed


def describe_gap(stored: Token, fresh: Token) -> tuple[float, str]:
    """Return how far two numbers are apart, relative to the first, and say so."""
    before, after = _value(stored), _value(fresh)
    gap = abs(before - after)
    relative = float(gap / abs(before)) if before else float("inf")
    words = f"stored {stored.text}, fresh {fresh.text}"
    if stored.kind == "integer" or not before:
        return relative, f"{words} (difference {float(gap):.2g})"
    return relative, f"{words} (relative difference {relative:.2g})"


def _number_tokens(part: str, line: int, *, is_list: bool) -> list[Token]:
    """Cut ``1,200`` behind a bracket or a comma: there it is two items, not 1200."""
    if "," not in part or not is_list:
        return [Token(_kind(part), part, line)]
    tokens: list[Token] = []
    for item in part.split(","):
        tokens += [Token("word", ",", line), Token(_kind(item), item, line)]
    return tokens[1:]


def _kind(part: str) -> str:
    return "decimal" if re.search(r"[.eE]", part) else "integer"


def _inside_brackets(tokens: list[Token]) -> list[bool]:
    """Return which tokens stand between brackets that are closed."""
    change = [0] * (len(tokens) + 1)
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.text in _OPENING:
            stack.append(index)
        elif (
            token.text in _CLOSING
            and stack
            and _OPENING[tokens[stack[-1]].text] == token.text
        ):
            change[stack.pop()] += 1
            change[index] -= 1
    depth, inside = 0, []
    for step in change[:-1]:
        depth += step
        inside.append(depth > 0)
    return inside


def _settle(tokens: list[Token], inside: list[bool]) -> list[Token]:
    """Drop ends of lines inside brackets; outside, ``5.`` is 5 and the end of a sentence."""
    settled: list[Token] = []
    for token, is_inside in zip(tokens, inside, strict=True):
        if token.kind == "end" and is_inside:
            continue
        if token.kind == "decimal" and token.text.endswith(".") and not is_inside:
            settled.append(Token("integer", token.text[:-1], token.line))
            settled.append(Token("word", ".", token.line))
        else:
            settled.append(token)
    return settled


def _without_last_ends(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].kind == "end":
        tokens.pop()
    return tokens


def _value(token: Token) -> Decimal:
    return _decimal(token.text.replace(",", ""))


def _decimal(number: float | str) -> Decimal:
    return Decimal(str(number))


def _last_digit(token: Token) -> Decimal:
    """Return the unit of the last digit that is printed."""
    return Decimal(1).scaleb(int(_value(token).as_tuple().exponent))
