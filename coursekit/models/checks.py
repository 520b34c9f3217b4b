"""Check the counts that blocks are made of.

Nothing here knows what any block does with them.
"""

from numbers import Integral

from coursekit.errors import SettingsError

__all__ = ["check_counts"]


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
