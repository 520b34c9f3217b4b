"""What a cell shows, cut into parts that can be compared: words, and numbers among them.

Text, and the record of numbers that `coursekit.figures` puts beside a picture, both become
`Part`s, so that one comparison serves them. Nothing is executed here.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

FIGURE_MIME = "application/vnd.coursekit.figure+json"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg")
_STREAMS = {"stdout": "what is printed", "stderr": "what is written to stderr"}


class Number(NamedTuple):
    """A number that is shown."""

    text: str
    value: float
    unit: float  # of the last digit that is printed; of a drawn one, what nobody would see
    kind: str  # "integer", "decimal", "drawn" or "picture"
    is_percent: bool = False
    is_cost: bool = False  # unit, column or axis say that it is a time or a size in bytes
    where: str = ""  # the head of its column


class Part(NamedTuple):
    """A piece of what is shown, and its place, for a person."""

    where: str
    text: str
    words: tuple[str, ...] = ()  # with a "#" for each number
    numbers: tuple[Number, ...] = ()
    picture: str = ""  # in base64, where there is nothing else to compare


class Output(NamedTuple):
    """A stream, or one display, as parts."""

    kind: str
    title: str
    parts: list[Part]
    picture: str = ""


_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<version>\d+(?:\.\d+){2,})
    | (?P<number>(?:(?<![\w)\]}.])[-+\u2212])?
        (?: (?:\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+) (?:\.\d*)? | (?<![\w.])\.\d+ )
        (?:[eE][-+]?\d+(?!\w))?)
    | (?P<word>[^\W\d]\w*|<\w+>) | (?P<other>.)""",
    re.VERBOSE,
)
_COUNT = r"(?<![\w.])[-+]?(?:\d+(?:,\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_UNIT = (
    r"(?:[nu\u00b5\u03bcm]?s|(?:milli|micro)?sec(?:ond)?s?|min(?:ute)?s?|h(?:ours?)?|days?)"
)
_CLOCK = r"\d{1,3}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_WORDS = r"(?:milli|micro)?seconds?|m?s|minutes?|hours?|min|times?|elapsed|took|duration|memory|rss|[kmgt]i?b|bytes"
_COSTS = re.compile(  # times, dates, rates; sizes in bytes
    rf"(?i)\d{{4}}-\d\d-\d\d(?:[T ]{_CLOCK})?|(?<![\w:.]){_CLOCK}(?![\w:])|\b1[5-9]\d{{8}}\b(?:\.\d+)?"
    rf"|{_COUNT}\s?(?:{_UNIT}(?:\s?(?:/|per |an? )\s?\w+)?|\w+\s?(?:/|per |a )s(?:econd)?)\b"
    rf"|\b(?:{_WORDS})['\"]?\s*[:=]\s*{_COUNT}|\b(?:\d+ runs?, )?[\d,]+ loops?\b"
    rf"|{_COUNT}\s?(?:[kmgtp]i?b|(?:kilo|mega|giga)?bytes?|b)(?:/s)?(?!\w)"
)
_COST_HEAD = re.compile(rf"(?i)(?<![\w/])(?:{_WORDS}|(?:\w+/|per )s(?:econd)?)(?![\w/])")
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_S, _NAME = r"[\\/]+", r"[^\s\\/'\"<>:;,()\[\]{}]+"
_HERE = re.escape(tempfile.gettempdir())
# What differs from run to run and means nothing, and the word that takes its place.
_MEANINGLESS = {
    ANSI.pattern: "",
    # hex() of a number that somebody computed is shorter than the addresses of this century.
    r"(?<=\bat )0x[0-9a-fA-F]{4,}|\b0x[0-9a-fA-F]{9,16}\b": "<address>",
    r"(?i)\b(pid|process id)(['\"]?\s*[:=#]?\s*)\d+\b": r"\1\2<pid>",
    rf"(?:[A-Za-z]:)?(?:{_S}{_NAME})*{_S}(?:(?:site|dist)-packages|lib{_S}python3\.\d+)"
    rf"{_S}({_NAME}(?:{_S}{_NAME})*)(?::\d+)?": r"<installed>/\1",
    rf"(?<![\w./\\~-])(?:(?:[A-Za-z]:)?(?:{_S}{_NAME})*{_S}tmp[a-z0-9_]{{8}}"
    rf"|(?:/private)?(?:/tmp|/var/tmp|/var/folders/{_NAME}/{_NAME}/T)"
    rf"|[A-Z]:{_S}Users{_S}{_NAME}{_S}AppData{_S}Local{_S}Temp|{_HERE})(?![\w-])": "<temp>",
    rf"(?:<temp>{_S})?ipykernel_\d+{_S}\d+\.py": "<kernel>",
    # Names that libraries draw for elements of HTML.
    r"\bT_[0-9a-f]{5,}|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "<id>",
    r"\b[0-9a-f]{32}\b|\bsk-(?:container|estimator)-(?:id-)?\d+": "<id>",
}
_BAR = re.compile(  # tqdm's `45%|####5     | 9/20 [00:01<00:02, 5.1it/s]`, or `9it [00:01, 5.1it/s]`
    r"^[^\n|]*?\d{1,3}%\|[^\n|]*\|[^\n\[]*(?:\[[^\]\n]*\]?)?"
    r"|^[^\n\[]*?\b\d[\d.]*[kMG]?[A-Za-z]* ?\[\d+:\d\d(?::\d\d)?, [^\]\n]*/[^\]\n]*\]",
    re.MULTILINE,
)
_WIDGET_BAR = re.compile(r"(?s)\s*(?:[^\n|]*\d{1,3}%\|.*\||[^\n]*\d+it \[)")


def text_part(text: str, where: str, *, head: str = "") -> Part:
    """Return a text as one part. Padding and ends of lines are no words.

    `head` says what all of its numbers are; by default that is the head of the column.

    Examples
    --------
    >>> part = text_part("loss 0.25 after 1.5 s", "")
    >>> part.words, [(number.value, number.is_cost) for number in part.numbers]
    (('loss', '#', 'after', '#'), [(0.25, False), (1.5, True)])
    """
    text = text.replace("\r\n", "\n")
    for pattern, word in _MEANINGLESS.items():
        text = re.sub(pattern, word, text)
    costs = [found.span() for found in _COSTS.finditer(text)]
    heads = {} if head else _column_heads(text)
    words: list[str] = []
    numbers: list[Number] = []
    for found in _TOKEN.finditer(text):
        word, at = found[0], found.start()
        in_cost = any(low <= at < high for low, high in costs)
        if found.lastgroup != "number":
            # Whether it is 900 ms or 1.1 s, 90 MiB or 1.2 GiB, follows the number.
            words += [word] if found.lastgroup != "space" and not in_cost else []
            continue
        named = head or heads.get(found.end(), "")
        is_cost = in_cost or says_cost(named)
        is_percent = text[found.end() :].lstrip(" ")[:1] == "%" or "%" in named
        # Behind a bracket or a comma, 1,200 is two items.
        several = "," in word and at > 0 and text[at - 1] in "[({,"
        for place, item in enumerate(word.split(",") if several else [word]):
            words += [",", "#"] if place else ["#"]
            numbers.append(_number(item, is_percent, is_cost, named))
    return Part(where, text, tuple(words), tuple(numbers))


def _number(text: str, is_percent: bool, is_cost: bool, where: str) -> Number:
    plain = text.replace(",", "").replace("\u2212", "-")
    if not re.search(r"[.eE]", plain):
        return Number(text, int(plain), 1, "integer", is_percent, is_cost, where)
    digits, _, power = plain.lower().partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    return Number(text, float(plain), unit, "decimal", is_percent, is_cost, where)


def _column_heads(text: str) -> dict[int, str]:
    """Return the head of its column for the end of each word, as pandas aligns them."""
    heads, start = {}, 0
    columns: dict[int, str] | None = None
    for line in text.split("\n"):
        for word in re.finditer(r"\S+", line):
            heads[start + word.end()] = (columns or {}).get(word.end(), "")
        if columns is None or not line.strip():
            words = re.finditer(r"\S+(?: \S+)*", line)
            columns = {word.end(): word[0] for word in words} if line.strip() else None
        start += len(line) + 1
    return heads


def says_cost(head: str) -> bool:
    """Return whether the head of a column, or an axis's label, speaks of times or sizes."""
    return bool(_COST_HEAD.search(head.replace("_", " ")))


def without_progress_bars(text: str) -> str:
    """Return what was written to stderr besides progress bars, also behind one on its line."""
    bare = ANSI.sub("", text)
    if not _BAR.search(bare):
        return text
    return "".join(f"{line}\n" for line in _BAR.sub("", bare).split("\n") if line.strip())


def is_progress_bar(output: Mapping[str, Any]) -> bool:
    """Return whether an output is a widget that shows progress and nothing else."""
    data = output.get("data", {})
    plain = "".join(data.get("text/plain", ""))
    return WIDGET_MIME in data and bool(_WIDGET_BAR.match(plain))


def show_outputs(outputs: Sequence[Mapping[str, Any]]) -> dict[str, Output]:
    """Return what outputs, as nbformat reads them, show: streams, joined, then displays.

    Streams stand under their names, displays under their numbers. Progress bars show nothing.
    """
    shown: dict[str, Output] = {}
    for name, where in _STREAMS.items():
        text = "".join("".join(out["text"]) for out in outputs if out.get("name") == name)
        text = without_progress_bars(text) if name == "stderr" else text
        if text.strip():
            title = f"{where}: {text.strip()}"
            shown[name] = Output(name, title, [text_part(text, where)])
    for output in outputs:
        if output["output_type"] == "stream" or is_progress_bar(output):
            continue
        key = f"display {len(shown.keys() - _STREAMS)}"
        if output["output_type"] == "error":
            title = f"the error {output['ename']}: {output['evalue']}"
            parts = [text_part(output["evalue"], "the error's words")]
            shown[key] = Output(f"error {output['ename']}", title, parts)
            continue
        data = {mime: said for mime, said in output["data"].items() if mime != WIDGET_MIME}
        plain = "".join(data.get("text/plain", ""))
        title = f"{' '.join(plain.split())[:80]} ({', '.join(sorted(data))})"
        compared = sorted(data)
        if FIGURE_MIME in data:  # says it better than pixels
            compared = [FIGURE_MIME, "text/plain"]
        elif "text/html" in data and not plain.startswith("<"):
            compared = ["text/plain"]  # a table, of which the text has the same cells
        parts = [p for mime in compared for p in _data_parts(mime, data.get(mime, ""))]
        picture = next(("".join(data[mime]) for mime in PICTURES if mime in data), "")
        shown[key] = Output(f"display of {', '.join(sorted(data))}", title, parts, picture)
    return shown


def _data_parts(mime: str, content: Any) -> Iterator[Part]:
    if mime in PICTURES:
        number = Number("a picture", 0.0, 0.02, "picture")
        yield Part(mime, "", ("#",), (number,), "".join(content))
    elif mime == FIGURE_MIME:
        yield from _figure_parts(content, f"figure {content.get('title', '')!r}", "", {})
    else:
        text = content if isinstance(content, str | list) else json.dumps(content, indent=1)
        yield text_part("".join(map(str, text)), mime)


_MEMBERS = ("axes", "lines", "bars", "patches", "points", "images")
_PIXELS = ("grid", "contrast")
_FOLLOW = ("x_limits", "y_limits", "texts_at")  # the other numbers, with some margin
_DRAWN = {"x", "y", "values", "at", "base", "heights", "extent", "scale", "box"}
_DRAWN |= {*_FOLLOW, *_PIXELS}
_ALONG = {"x": ("x_limits", "x", "at"), "y": ("y_limits", "y", "base", "heights")}


def _figure_parts(record: Mapping, where: str, head: str, axes: Mapping) -> Iterator[Part]:
    """Yield the words and numbers of a figure's record, or of a member of it."""
    labels = {axis: str(axes.get(f"{axis}_label", "")) for axis in "xy"}
    if record.get("direction") == "horizontal":
        labels = {"x": labels["y"], "y": labels["x"]}
    for field, content in sorted(record.items()):
        if field in _MEMBERS:
            yield Part(f"{where}, number of {field}", "", (str(len(content)),))
            for number, member in enumerate(content, start=1):
                name = member.get("name", member.get("title", ""))
                inner = f"{where}, {field} {number}{f' {name!r}' if name else ''}"
                panel = member if field == "axes" else axes
                yield from _figure_parts(member, inner, f"{head} {name}", panel)
            continue
        said = next((labels[axis] for axis, names in _ALONG.items() if field in names), "")
        # Stacked panels share a label; what stands at a place is along both axes.
        said = said or f"{labels['x']} {labels['y']}"
        if field in _DRAWN:
            yield _drawn_part(field, str(content), f"{where}, {field}", said)
        else:
            said = said if field == "texts" else head
            yield text_part(str(content), f"{where}, {field}", head=said or " ")


def _drawn_part(field: str, text: str, where: str, head: str) -> Part:
    size, _, cells = text.rpartition(": ")
    values = [float(word) for word in cells.split() if word != "/"]
    largest = max((abs(v) for v in values if abs(v) < float("inf")), default=0.0)
    units = [1e-4 * max(abs(value), 0.01 * largest) for value in values]
    if field in _FOLLOW:
        units = [2e-4 * largest] * len(values)
    if field in _PIXELS:  # thousandths of a scale that has 255 steps
        units = [4.1] * len(values)
    says = "drawn", "%" in head, says_cost(head)
    pairs = zip(values, units, strict=True)
    numbers = tuple(Number(f"{value:g}", value, unit, *says) for value, unit in pairs)
    return Part(where, text, (size,), numbers)
