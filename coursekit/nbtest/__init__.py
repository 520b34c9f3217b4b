"""Notebooks as tests: execute them, compare what they show, and store it.

The plugin for pytest is loaded by pytest itself, so importing this folder loads nothing
heavy. It works on any notebooks, with nbval's options, comments and tags:
``pytest --nbval --nbval-current-env notebooks``. A cell whose outputs depend on the machine
says so in a comment on a line of its own, or in a tag such as ``nbtest:rtol=5e-2``::

    # nbtest: rtol=5e-2 atol=0.01     decimal numbers (else 1e-4 of their size)
    # nbtest: counts=4                integers (else equal)
    # nbtest: image_rms=0.05          pictures (else 0.02 of the full scale)
    # nbtest: times memory            durations, rates, dates; sizes in bytes

Two decimal numbers one unit of their last printed digit apart agree too, but only if half
of that unit is within the tolerance: 0.6931 and 0.6932 do, 0.98 and 0.97 do not. Options:
``--nbtest-enforce-budgets``, ``--nbtest-env NAME=VALUE``, ``--nbtest-pictures FOLDER``.

Difference
    One way in which a fresh output is not the stored one.
"""

from coursekit.nbtest.difference import Difference

__all__ = ["Difference"]
