"""Notebooks as tests: run them on several emulated machines, store what they show, compare.

nbclient executes, nbval collects, and what is here compares. ``coursekit refresh`` stores
outputs together with the range of every number over nine runs; ``coursekit check`` and
``pytest --nbval --nbval-current-env notebooks`` fail outside it. Words must be equal; what
never moved in a cell that does not train must be equal as printed.

A cell says the rest in a comment on a line of its own, ``# nbtest: costs items=300``, or in a
tag such as ``nbtest:costs``:

costs
    Times, rates, dates and sizes in bytes are not compared: numbers whose own unit, column or
    axis says so. Those that moved between the runs need no directive.
items=300
    The size of the set that accuracies are counted on; for all cells ``"items": 300`` in the
    notebook's ``coursekit`` metadata. Two items more or less are no difference in a cell
    that trains.
ordered
    The text says which of the cell's numbers is larger: `refresh` refuses it where their
    margin is below three ranges.

nbval's own words stay: ``nbval-ignore-output``, ``nbval-skip``, ``raises-exception``.
"""

__all__ = []
