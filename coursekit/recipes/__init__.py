"""Whole experiments: what makes the shipped weights, and runs compared over seeds.

``backbone.py`` and ``clip.py`` make the shipped weights, for the command line.
Comparison: `repeat_runs`, ways x seeds in one table.
"""

from coursekit.recipes.compare import repeat_runs

__all__ = ["repeat_runs"]
