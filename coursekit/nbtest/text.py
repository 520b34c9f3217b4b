"""Compare two texts: what they say must be equal, their numbers must agree.

Nothing here knows of notebooks or of HTML.
"""

from difflib import unified_diff

from coursekit.nbtest.difference import Difference
from coursekit.nbtest.directives import Directives
from coursekit.nbtest.numbers import Token, agree, describe_gap, tokenize
from coursekit.nbtest.scrub import set_aside, set_aside_asked

__all__ = ["compare_text", "scrub"]

_MOST_LINES = 24
_MOST_COLUMNS = 240
_NUMBERS = ("integer", "decimal")


def compare_text(
    stored: str, fresh: str, directives: Directives, *, is_whole: bool = True
) -> Difference | None:
    """Return how a fresh text differs from the stored one, or None when they agree.

    Parameters
    ----------
    stored, fresh : str
        Compared by their words and numbers, not by their padding.
    directives : Directives
        What is allowed to differ.
    is_whole : bool
        Whether this is all that was printed or shown, as `set_aside_asked` takes it.

    Returns
    -------
    Difference or None
        With the number that is furthest off, the tolerance in force, and the lines.

    Examples
    --------
    >>> compare_text("loss 0.69315", "loss 0.69316", Directives()) is None
    True
    >>> print(compare_text("3 of 4", "2 of 4", Directives()).message.splitlines()[0])
    1 of 2 numbers differs: stored 3, fresh 2 (difference 1); integers must be equal.
    """
    if stored == fresh:
        return None
    stored, fresh = (scrub(text, directives, is_whole=is_whole) for text in (stored, fresh))
    if stored == fresh:
        return None
    before, after = tokenize(stored), tokenize(fresh)
    if _skeleton(before) != _skeleton(after):
        return Difference(f"{_say_skeleton(before, after)}\n{_diff(stored, fresh)}")
    pairs = list(zip(before, after, strict=True))
    wrong = [pair for pair in pairs if not agree(*pair, directives)]
    if not wrong:
        return None
    n_numbers = sum(token.kind in _NUMBERS for token in before)
    message = (
        f"{_say_numbers(wrong, n_numbers, directives)}\n{_lines(stored, fresh, wrong)}"
    )
    return Difference(message)


def scrub(text: str, directives: Directives, *, is_whole: bool = True) -> str:
    """Return a text without what is set aside, always or because the cell asks for it."""
    text = set_aside(text.replace("\r\n", "\n"))
    return set_aside_asked(
        text, times=directives.times, memory=directives.memory, is_whole=is_whole
    )


def _skeleton(tokens: list[Token]) -> list[tuple[str, str]]:
    return [(token.kind, "" if token.kind in _NUMBERS else token.text) for token in tokens]


def _say_skeleton(before: list[Token], after: list[Token]) -> str:
    """Say where two texts begin to differ in more than the size of a number."""
    for old, new in zip(before, after, strict=False):
        if old.kind != new.kind and {old.kind, new.kind} == set(_NUMBERS):
            article = {"integer": "an integer", "decimal": "a decimal number"}
            return (
                f"Stored {old.text}, {article[old.kind]}; fresh {new.text}, "
                f"{article[new.kind]}."
            )
        if _skeleton([old]) != _skeleton([new]):
            return f"The text differs: stored {_quote(old)}, fresh {_quote(new)}."
    if len(before) > len(after):
        return f"The text ends early: {_first_of(before[len(after) :])} is missing."
    return f"The text goes on: {_first_of(after[len(before) :])} is new."


def _first_of(tokens: list[Token]) -> str:
    return _quote(next((token for token in tokens if token.kind != "end"), tokens[0]))


def _quote(token: Token) -> str:
    return "the end of the line" if token.kind == "end" else repr(token.text)


def _say_numbers(
    wrong: list[tuple[Token, Token]], n_numbers: int, directives: Directives
) -> str:
    _, worst = max((describe_gap(*pair) for pair in wrong), key=lambda gap: gap[0])
    kinds = {old.kind for old, _ in wrong}
    rules = []
    if "decimal" in kinds:
        rules.append(f"allowed rtol={directives.rtol:g}, atol={directives.atol:g}")
    if "integer" in kinds:
        rules.append(
            f"integers may differ by {directives.counts}"
            if directives.counts
            else "integers must be equal"
        )
    verb = "differs" if len(wrong) == 1 else "differ; the worst"
    return f"{len(wrong)} of {n_numbers} numbers {verb}: {worst}; {', '.join(rules)}."


def _lines(stored: str, fresh: str, wrong: list[tuple[Token, Token]]) -> str:
    """Show the lines with numbers that do not agree, and only these."""
    old_lines, new_lines = stored.split("\n"), fresh.split("\n")
    shown: list[str] = []
    for old, new in dict.fromkeys((old.line, new.line) for old, new in wrong):
        shown += [f"- {_cut(old_lines[old])}", f"+ {_cut(new_lines[new])}"]
    return _head(shown)


def _diff(stored: str, fresh: str) -> str:
    lines = unified_diff(stored.split("\n"), fresh.split("\n"), n=1, lineterm="")
    return _head([f"{line[:1]} {_cut(line[1:])}" for line in list(lines)[3:]])


def _cut(line: str) -> str:
    return line if len(line) <= _MOST_COLUMNS else f"{line[:_MOST_COLUMNS]} ..."


def _head(lines: list[str]) -> str:
    if len(lines) <= _MOST_LINES:
        return "\n".join(lines)
    rest = len(lines) - _MOST_LINES
    return "\n".join([*lines[:_MOST_LINES], f"... and {rest} more lines"])
