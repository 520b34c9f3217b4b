"""The record of what a model costs: totals and one row for each call of a module.

Nothing here knows how the numbers were counted.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from coursekit.errors import SettingsError

__all__ = ["WHOLE_IMAGE", "ModelSummary"]

WHOLE_IMAGE = "whole image"
_COSTS = ["parameters", "trainable", "multiply_adds", "saved_bytes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelSummary:
    """What a model costs on one input, as `coursekit.inspection.summarize` counts it.

    Parameters
    ----------
    model_name : str
        Its class.
    input_shapes : tuple of tuple of int
        Of the tensors that it was called with, the batch included.
    n_parameters, n_trainable : int
        Numbers that it holds as parameters, each once, and those that learn.
    n_used : int
        Parameters that this forward pass read; without those of heads that stayed idle.
    multiply_adds : int
        Of convolutions, matrix products, attention and recurrent layers, for the whole batch.
        Sums, activations, pooling and normalization count as nothing, as is usual.
    saved_bytes : int
        Memory that autograd keeps for the backward pass: each block once, the input's too,
        parameters and buffers left out. It depends on the mode and on what is frozen.
    table : DataFrame
        One row for each call of a module, in the order in which they begin, the model first:
        name, type, call (1 for a module's first; 0 where it was not called), depth,
        output_shape, parameters, trainable, multiply_adds, saved_bytes, receptive_field,
        stride, padding. Costs are those of the row itself without the modules that it calls,
        so that each column adds up to its total. The receptive field is (rows, columns) of
        the input's pixels, ``"whole image"``, or None where it cannot be told; padding is how
        far the first output's field reaches over the border.
    """

    model_name: str
    input_shapes: tuple[tuple[int, ...], ...]
    n_parameters: int
    n_trainable: int
    n_used: int
    multiply_adds: int
    saved_bytes: int
    table: pd.DataFrame

    def at_depth(self, depth: int) -> pd.DataFrame:
        """Return the table cut at `depth`; each last row holds what it calls, too.

        Parameters
        ----------
        depth : int
            0 for the model as one row, 1 for it and its children, and so on.

        Returns
        -------
        DataFrame
            The columns of `table`. Each still adds up to its total.

        Raises
        ------
        SettingsError
            If `depth` is negative.
        """
        if depth < 0:
            msg = f"depth must be 0 or more, got {depth}."
            raise SettingsError(msg)
        if self.table.empty:
            return self.table
        kept = self.table["depth"] <= depth
        sums = self.table.groupby(kept.cumsum())[_COSTS].sum()
        cut = self.table[kept].copy()
        cut[_COSTS] = sums.to_numpy()
        return cut.reset_index(drop=True)

    def __str__(self) -> str:
        shapes = ", ".join(" x ".join(map(str, shape)) for shape in self.input_shapes)
        idle = self.n_parameters - self.n_used
        lines = [
            f"{self.model_name} on {shapes}",
            f"parameters     {self.n_parameters:>18,}",
            f"  trainable    {self.n_trainable:>18,}",
            *([f"  not used     {idle:>18,}"] if idle else []),
            f"multiply-adds  {self.multiply_adds:>18,}",
            f"saved bytes    {self.saved_bytes:>18,}",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"ModelSummary({self.model_name}: {self.n_parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds, {self.saved_bytes:,} saved bytes)"
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title, _ in _HTML_COLUMNS)
        rows = "".join(_html_row(row) for row in self.table.to_dict("records"))
        total = [f"<b>{escape(self.model_name)}, total</b>", "", ""]
        total += [f"<b>{getattr(self, name):,}</b>" for name in _TOTALS]
        last = "".join(f"<td>{cell}</td>" for cell in [*total, "", "", ""])
        return (
            "<table><thead><tr>"
            f"{head}</tr></thead><tbody>{rows}<tr>{last}</tr></tbody></table>"
        )


_TOTALS = ("n_parameters", "n_trainable", "multiply_adds", "saved_bytes")
_HTML_COLUMNS = (
    ("module", "name"),
    ("type", "type"),
    ("output shape", "output_shape"),
    ("parameters", "parameters"),
    ("trainable", "trainable"),
    ("multiply-adds", "multiply_adds"),
    ("saved bytes", "saved_bytes"),
    ("receptive field", "receptive_field"),
    ("stride", "stride"),
    ("padding", "padding"),
)


def _html_row(row: dict[str, Any]) -> str:
    cells = []
    for _, column in _HTML_COLUMNS:
        text, style = escape(_text(row[column])), ""
        if column == "name":
            style = f' style="text-align:left;padding-left:{row["depth"] + 0.5}em"'
            text += f" (call {row['call']})" if row["call"] > 1 else ""
        if column == "output_shape" and row["call"] == 0:
            text = "not called"
        cells.append(f"<td{style}>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}" if value else "-"
    return str(value)
