"""The record of which parameters of a model train.

Nothing here changes a model.
"""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from coursekit.models import layer_groups

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ParameterReport", "ParameterRow", "report_parameters"]


class ParameterRow(NamedTuple):
    """One parameter of a model."""

    name: str
    """As in ``model.named_parameters()``."""
    group: str
    """The layer or block that it belongs to, as `layer_groups` names it."""
    n_parameters: int
    """Numbers that it holds."""
    trains: bool
    """Whether an optimizer may change it."""


@dataclass(frozen=True, kw_only=True)
class ParameterReport:
    """Which parameters of a model train, from its input to its head.

    Parameters
    ----------
    model_name : str
        Its class.
    rows : tuple of ParameterRow
        One a parameter.
    """

    model_name: str
    rows: tuple[ParameterRow, ...]

    @property
    def n_parameters(self) -> int:
        """Numbers that the model holds as parameters."""
        return sum(row.n_parameters for row in self.rows)

    @property
    def n_trainable(self) -> int:
        """Numbers of them that train."""
        return sum(row.n_parameters for row in self.rows if row.trains)

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the parameters that train."""
        return tuple(row.name for row in self.rows if row.trains)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row a parameter: name, group, n_parameters, trains."""
        import pandas as pd  # half a second, paid by those who want the table

        return pd.DataFrame(self.rows, columns=list(ParameterRow._fields))

    def by_group(self) -> "pd.DataFrame":
        """Return a table with one row a layer or block: group, n_parameters, n_trainable."""
        import pandas as pd

        return pd.DataFrame(
            self._groups(), columns=["group", "n_parameters", "n_trainable"]
        )

    def _groups(self) -> list[tuple[str, int, int]]:
        sums: dict[str, list[int]] = {}
        for row in self.rows:
            total = sums.setdefault(row.group, [0, 0])
            total[0] += row.n_parameters
            total[1] += row.n_parameters * row.trains
        return [(group, *total) for group, total in sums.items()]

    def __repr__(self) -> str:
        return (
            f"ParameterReport({self.model_name}: {self.n_trainable:,} of "
            f"{self.n_parameters:,} parameters train)"
        )

    def __str__(self) -> str:
        rows = [("layers", "parameters", "train"), *map(_texts, self._groups())]
        rows.append(_texts(("all", self.n_parameters, self.n_trainable)))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{name:<{widths[0]}}  {count:>{widths[1]}}  {trains:>{widths[2]}}"
            for name, count, trains in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in ("layers", "parameters", "train"))
        last = _html_row(("all", self.n_parameters, self.n_trainable), tag="th")
        body = "".join(map(_html_row, self._groups()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{last}</tbody></table>"


def report_parameters(model: nn.Module) -> ParameterReport:
    """Return which parameters of `model` train.

    Parameters
    ----------
    model : Module

    Returns
    -------
    ParameterReport
        A notebook shows it as a table of layers and blocks.

    Raises
    ------
    SettingsError
        If the model has no parameters.

    Examples
    --------
    >>> report_parameters(nn.Linear(2, 1))
    ParameterReport(Linear: 3 of 3 parameters train)
    """
    parameters = dict(model.named_parameters())
    rows = tuple(
        ParameterRow(
            name,
            group.name or type(model).__name__,
            parameters[name].numel(),
            parameters[name].requires_grad,
        )
        for group in layer_groups(model)
        for name in group.parameters
    )
    return ParameterReport(model_name=type(model).__name__, rows=rows)


def _texts(group: tuple[str, int, int]) -> tuple[str, str, str]:
    name, count, n_trainable = group
    words = {count: "yes", 0: "no"}  # in this order: no parameters, nothing that is frozen
    return name, f"{count:,}", words.get(n_trainable, f"{n_trainable:,}")


def _html_row(group: tuple[str, int, int], tag: str = "td") -> str:
    name, *numbers = map(escape, _texts(group))
    cells = "".join(f"<{tag}>{number}</{tag}>" for number in numbers)
    return f'<tr><{tag} style="text-align:left">{name}</{tag}>{cells}</tr>'
