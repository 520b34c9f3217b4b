"""Notebooks as tests: run them on several emulated machines, store what they show, compare.

nbclient executes, nbval finds, and what is here compares. ``coursekit refresh`` stores
outputs together with the range of every number over nine runs; ``coursekit check`` and
``pytest --nbval --nbval-current-env notebooks`` fail outside it. Words must be equal; what
never moved in a cell that does not train must be equal as printed.

A cell says the rest in its tags:

nbtest:costs
    Times, rates, dates and sizes in bytes are not compared: numbers whose own unit, column or
    axis says so. Those that moved between the runs need no tag.
nbval-ignore-output
    The cell is run, and nothing is compared.
raises-exception
    The cell is meant to fail, with the error that is stored.

``"items": 300`` in the notebook's ``coursekit`` metadata is the size of the set that accuracies
are counted on: two items more or less are no difference in a cell that trains.
"""

__all__ = []
