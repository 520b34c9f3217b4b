r"""Set aside what differs from run to run or from machine to machine and means nothing.

Always: colors of a terminal, addresses of objects, process ids, temporary paths, and where
Python's packages are installed. On request: times and dates, sizes in bytes. What is set
aside is replaced by a word in angle brackets, on both sides, so that the text around it is
still compared. Nothing here compares.
"""

import re
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["mentions_memory", "mentions_time", "set_aside", "set_aside_asked"]

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
# hex() of a number that somebody computed is shorter than the addresses of this century.
_ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-fA-F]{4,}|\b0x[0-9a-fA-F]{9,16}\b")
_PROCESS = re.compile(r"(?i)\b(pid|process id)(['\"]?\s*[:=#]?\s*)\d+\b")

_SEP = r"[\\/]+"
_PART = r"[^\s\\/'\"<>:;,()\[\]{}]+"
_ROOTS = (
    r"(?:/private)?/tmp",
    r"/(?:var/tmp|dev/shm)",
    rf"(?:/private)?/var/folders/{_PART}/{_PART}/T",
    rf"[A-Za-z]:{_SEP}Users{_SEP}{_PART}{_SEP}AppData{_SEP}Local{_SEP}Temp",
)
_BEFORE = r"(?<![\w./\\~-])"
_RANDOM = rf"(?:[A-Za-z]:)?(?:{_SEP}{_PART})*{_SEP}(?:tmp[a-z0-9_]{{8}})(?![\w-])"
_UNDER_TEMP = re.compile(
    rf"<temp>{_SEP}(?:pytest-of-{_PART}(?:{_SEP}pytest-\w+)?|(?=[\w.-]*[-_.](?=[a-z_]*\d)"
    r"[a-z0-9_]{8}(?![\w.-]))[\w.-]+)"
)
_KERNEL_FILE = re.compile(rf"(?:<temp>{_SEP})?ipykernel_\d+{_SEP}\d+\.py")
_INSTALLED = re.compile(
    rf"(?:[A-Za-z]:)?(?:{_SEP}{_PART})*{_SEP}(?:(?:site|dist)-packages|lib{_SEP}python3\.\d+)"
    rf"{_SEP}(?P<file>{_PART}(?:{_SEP}{_PART})*)(?::\d+)?"
)

_NUMBER = r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_UNIT = (
    r"(?:[nuµμm]?s|(?:nano|micro|milli)?sec(?:ond)?s?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?"
    r"|d(?:ays?)?)"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*"
_CLOCK = r"\d{1,3}:\d\d(?::\d\d)?(?:[.,]\d+)?(?:\s?[AP]M)?(?:Z|\s?[+-]\d\d:?\d\d)?"
_TIME_WORDS = (
    r"seconds?|secs?|milliseconds?|minutes?|hours?|times?|elapsed|took|takes|duration"
    r"|latency|runtime|timestamp|throughput|ms|[nuµμ]s"
)
_TIMES = re.compile(
    rf"\d{{4}}-\d\d-\d\d(?:[T ]{_CLOCK})?"
    rf"|\b\d{{1,2}}[/.]\d{{1,2}}[/.](?:19|20)\d\d\b"
    rf"|(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?\b{_MONTH} +\d{{1,2}},?"
    rf"(?: +{_CLOCK})?(?: +\d{{4}})?\b"
    rf"|\b\d{{1,2}} {_MONTH} \d{{4}}(?: +{_CLOCK})?"
    rf"|(?<![\w:]){_CLOCK}(?![\w:])"
    rf"|(?<![\w.]){_NUMBER}\s?(?:{_UNIT}\s?(?:/|per )\s?\w+|[A-Za-z]+\s?(?:/s(?:ec(?:ond)?)?"
    rf"|per second))\b"
    rf"|(?<![\w.]){_NUMBER}\s?{_UNIT}(?![\w/])"
    rf"|\b(?:\d+ runs?, )?[\d,]+ loops?\b"
    rf"|\b1[5-9]\d{{8}}(?:\.\d+)?\b"
)
_AFTER_TIME_WORD = re.compile(rf"(?i)(\b(?:{_TIME_WORDS})\b['\"]?\s*[:=]?\s*){_NUMBER}")
_MEMORY_WORDS = r"memory|bytes|rss|[kmgt]i?b"
_BYTES = re.compile(
    rf"(?i)(?<![\w.]){_NUMBER}\s?(?:[kmgtp]i?b|(?:kilo|mega|giga)?bytes?|b)(?:/s)?(?![\w])"
)
_AFTER_MEMORY_WORD = re.compile(rf"(?i)(\b(?:{_MEMORY_WORDS})\b['\"]?\s*[:=]?\s*){_NUMBER}")
_ONLY_A_NUMBER = re.compile(rf"\s*{_NUMBER}\s*")


def set_aside(text: str) -> str:
    r"""Return a text without what never means anything.

    Examples
    --------
    >>> set_aside("<A at 0x7f3c1c0d5e80> in /tmp/tmpab12cd34/net.pt")
    '<A at <address>> in <temp>/net.pt'
    >>> set_aside("\x1b[31mred\x1b[0m"), set_aside("0xff")
    ('red', '0xff')
    """
    text = _ANSI.sub("", text)
    if "0x" in text:
        text = _ADDRESS.sub("<address>", text)
    text = _PROCESS.sub(r"\1\2<pid>", text)
    if "/" in text or "\\" in text:
        text = _INSTALLED.sub(r"<installed>/\g<file>", text)
        text = _temporary().sub("<temp>", text)
        text = _KERNEL_FILE.sub("<kernel>", _UNDER_TEMP.sub("<temp>", text))
    return text


def set_aside_asked(text: str, *, times: bool, memory: bool, is_whole: bool = True) -> str:
    """Return a text without times, without sizes in bytes, or without both.

    Parameters
    ----------
    text : str
        As `set_aside` gives it.
    times : bool
        Durations with their units, rates, dates, times of day, seconds since 1970, numbers
        behind words such as ``elapsed``.
    memory : bool
        Sizes with their units, and numbers behind words such as ``memory``.
    is_whole : bool
        Whether this is all that was printed or shown. If that is a number and nothing else,
        it is taken for what is asked for; a whole number only for a size.

    Returns
    -------
    str

    Examples
    --------
    >>> set_aside_asked("epoch 3: 0.52 s, 41 MiB", times=True, memory=False)
    'epoch 3: <time>, 41 MiB'
    """
    if is_whole and _ONLY_A_NUMBER.fullmatch(text):
        if memory:
            return "<memory>"
        if times and not text.strip().isdigit():
            return "<time>"
    if memory:
        text = _AFTER_MEMORY_WORD.sub(r"\1<memory>", _BYTES.sub("<memory>", text))
    if times:
        text = _AFTER_TIME_WORD.sub(r"\1<time>", _TIMES.sub("<time>", text))
        text = re.sub(r"<time>(?:\s?<time>)+", "<time>", text)
    return text


def mentions_time(header: str) -> bool:
    """Return whether the header of a table's column says that times stand below it."""
    return _says(header, rf"{_TIME_WORDS}|s|min|\w+/s|date")


def mentions_memory(header: str) -> bool:
    """Return whether the header of a table's column says that sizes stand below it."""
    return _says(header, rf"{_MEMORY_WORDS}")


def _says(header: str, words: str) -> bool:
    spaced = header.replace("_", " ")
    return re.search(rf"(?i)(?<![\w/])(?:{words})(?![\w/])", spaced) is not None


@cache
def _temporary() -> re.Pattern[str]:
    """Match a temporary folder: of the systems that are known, or of this process."""
    here = {tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}
    roots = [re.escape(root) for root in sorted(here, key=len, reverse=True)]
    known = "|".join([*roots, *_ROOTS])
    return re.compile(
        rf"{_BEFORE}(?:{_RANDOM}|(?:{known})(?:{_SEP}tmp[a-z0-9_]{{8}})?(?![\w-]))"
    )
