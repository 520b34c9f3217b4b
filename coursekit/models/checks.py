"""Check the counts that blocks are made of.

Nothing here knows what any block does with them.
"""

from collections.abc import Sequence
from numbers import Integral

from coursekit.errors import SettingsError

__all__ = ["check_counts", "choose_depths"]


def check_counts(block: str, **counts: object) -> None:
    """Raise unless every count is a whole number of at least 1.

    Parameters
    ----------
    block : str
        Who asks, for the message.
    **counts : int
        By the names of the arguments.

    Raises
    ------
    SettingsError
        If a count is no whole number, or below 1.
    """
    wrong = {
        name: count
        for name, count in counts.items()
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 1
    }
    if wrong:
        given = ", ".join(f"{name}={count!r}" for name, count in wrong.items())
        msg = f"{block} is built of whole numbers of at least 1, got {given}."
        raise SettingsError(msg)


def choose_depths(n_depths: int, indices: int | Sequence[int] | None) -> list[int]:
    """Return the depths that timm's `indices` means: the last so many, these, or all."""
    depths = range(n_depths)
    if indices is None:
        return list(depths)
    try:
        taken = (
            [depths[-number] for number in range(indices, 0, -1)]
            if isinstance(indices, int)
            else [depths[number] for number in indices]
        )
    except IndexError:
        taken = []
    if not taken:
        msg = (
            f"indices counts the last of the {n_depths} depths or lists some of 0 to "
            f"{n_depths - 1}, got {indices!r}."
        )
        raise SettingsError(msg)
    return taken
