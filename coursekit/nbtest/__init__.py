"""Notebooks as tests: execute them, compare what they show, and store it.

The plugin for pytest is loaded by pytest itself, so importing this folder loads nothing
heavy.

Difference
    One way in which a fresh output is not the stored one.
"""

from coursekit.nbtest.difference import Difference

__all__ = ["Difference"]
