"""Bound squared distances from below, many at once, by one matrix product.

A row is rounded to bfloat16, or reduced to its part along a few directions, and what that
leaves out is a length beside it. Then ``|u - v|^2 = |u|^2 + |v|^2 - 2 u.v``, where ``u.v``
differs from the product of what was kept by no more than products of such lengths
(Cauchy-Schwarz). All of it is written as columns, so that the product of two matrices is the
table of bounds. Nothing here knows what the bounds are used for.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coursekit.seeds import make_generator

__all__ = ["Screen", "find_directions", "make_screen", "multiplies_exactly", "to_unit"]

_UNIT = 2.0**-24  # rounding of float32, relative
_COARSE = 2.0**-8  # twice the rounding of bfloat16, relative
_N_EXTRA = 9
_ROWS = 512  # rows prepared at once: they stay in the processor's cache
_FAR = 1e30
_SAMPLE = 2048


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The rows of a bank, prepared for bounds, and how queries are prepared.

    Parameters
    ----------
    center : Tensor of shape (n_features,), float32
        Subtracted from every row: distances stay, lengths shrink.
    scale : float
        Rows are divided by it first.
    is_unit : bool
        Whether rows are brought to length 1 first.
    directions : Tensor of shape (n_features, n_kept), optional
        Orthonormal; only the parts of the rows along them are kept.
    is_rounded : bool
        Whether what is kept is rounded to bfloat16.
    columns : Tensor of shape (n_rows, n_columns), bfloat16 or float32
        The rows of the bank, prepared; the product is made in their type.
    """

    center: Tensor
    scale: float
    is_unit: bool
    directions: Tensor | None
    is_rounded: bool
    columns: Tensor

    def make_space(self, n_queries: int) -> Tensor:
        """Return memory for the bounds of so many queries, to be used again and again."""
        return self.columns.new_empty(n_queries, len(self.columns))

    def bounds(self, queries: Tensor, space: Tensor) -> Tensor:
        """Return numbers that grow with the bounds, of shape (n_queries, n_rows).

        They stand in `space` until it is used again, and are to be compared with `limits`
        only. Those of bfloat16 are its bits read as whole numbers, which is faster: positive
        numbers keep their order, and negative ones stay below them.
        """
        columns = self.columns.new_empty(len(queries), self.columns.shape[1])
        self.write(queries, columns, is_query=True)
        product = torch.mm(columns, self.columns.T, out=space[: len(queries)])
        return product.view(torch.int16) if product.dtype == torch.bfloat16 else product

    def limits(self, squared: Tensor) -> Tensor:
        """Return what no bound exceeds whose row is as near as `squared`.

        Parameters
        ----------
        squared : Tensor of shape (n_queries,), float64
            Squared distances between rows as they were given (of length 1 if `is_unit`).
        """
        if self.is_unit:  # rows of float32 are not quite of length 1
            squared = ((squared + 8 * _UNIT).sqrt() + 8 * _UNIT).square()
        squared = (squared / self.scale**2 * (1 + 16 * _UNIT)).float()
        if self.columns.dtype == torch.float32:
            return squared
        return squared.bfloat16().view(torch.int16)  # rounded as the product was: in order

    def write(self, rows: Tensor, columns: Tensor, *, is_query: bool) -> None:
        """Write `rows` as `columns`, so that products of queries' and others' are bounds."""
        rows = _move(rows, self.center, self.scale, is_unit=self.is_unit)
        squares = _length(rows).square()
        kept, left = rows, torch.zeros_like(squares)
        if self.directions is not None:
            kept = rows @ self.directions
            left = (squares - _length(kept).square()).clamp_min(0) + 64 * _UNIT * squares
        rounded = kept.to(torch.bfloat16).float() if self.is_rounded else kept
        n_kept = kept.shape[1]
        # Sums of float32 numbers are off by less than this part of |u|^2 + |v|^2.
        slack = 4 * (n_kept + 64) * _UNIT
        parts = _split(squares * (1 - slack))
        ones = [torch.ones_like(squares)] * len(parts)
        error, length = _length(kept - rounded), _length(rounded if is_query else kept)
        pairs = [error, length, left.sqrt()] if is_query else [length, error, left.sqrt()]
        lengths = [_round_up(one) for one in pairs]
        if is_query:
            columns[:, :n_kept] = rounded.mul(-2)
            extra = [*parts, *ones, *(-2 * one for one in lengths)]
        else:
            columns[:, :n_kept] = rounded
            extra = [*ones, *parts, *lengths]
        columns[:, n_kept:] = torch.stack(extra, dim=1)


def make_screen(
    bank: Tensor,
    *,
    peak: float,
    is_unit: bool,
    dtype: torch.dtype,
    directions: Tensor | None = None,
    multiple: int = 1,
) -> Screen:
    """Prepare a bank; far rows are added until their number is a multiple of `multiple`.

    Parameters
    ----------
    bank : Tensor of shape (n_rows, n_features), float32
    peak : float
        The largest absolute value of bank and queries.
    """
    n_kept = bank.shape[1] if directions is None else directions.shape[1]
    n_rows = len(bank) + -len(bank) % multiple
    columns = torch.zeros(n_rows, n_kept + _N_EXTRA, dtype=dtype, device=bank.device)
    columns[:, n_kept : n_kept + 3] = 1
    columns[len(bank) :, n_kept + 3] = _FAR
    scale = _scale(peak, is_unit)
    screen = Screen(
        center=bank.new_zeros(bank.shape[1]),
        scale=scale,
        is_unit=is_unit,
        directions=directions,
        is_rounded=dtype == torch.bfloat16 or not multiplies_exactly(bank.device),
        columns=columns,
    )
    screen = replace(
        screen, center=_move(_sample(bank), 0.0, scale, is_unit=is_unit).mean(0)
    )
    for start in range(0, len(bank), _ROWS):
        stop = min(start + _ROWS, len(bank))
        screen.write(bank[start:stop], columns[start:stop], is_query=False)
    return screen


def find_directions(
    bank: Tensor, n_kept: int, *, peak: float, is_unit: bool, most_left: float
) -> Tensor | None:
    """Return the directions that hold most of a bank, or None if they hold too little.

    Parameters
    ----------
    bank : Tensor of shape (n_rows, n_features), float32
    n_kept : int
        The number of directions.
    peak, is_unit
        As of `make_screen`.
    most_left : float
        What may be left out, as a part of the sum of squares.

    Returns
    -------
    Tensor of shape (n_features, n_kept), float32, or None
        Orthonormal. The first principal directions of a sample, nearly: two rounds of
        subspace iteration from a fixed start.
    """
    rows = _move(_sample(bank), 0.0, _scale(peak, is_unit), is_unit=is_unit)
    rows -= rows.mean(dim=0)
    start = torch.randn(bank.shape[1], n_kept, generator=make_generator("directions"))
    directions = start.to(bank)
    for _ in range(2):
        directions = torch.linalg.qr(rows.T @ (rows @ directions)).Q
    total = rows.square().sum()
    left = 1 - (rows @ directions).square().sum() / total
    return directions if total > 0 and left <= most_left else None


def multiplies_exactly(device: torch.device) -> bool:
    """Return whether products of float32 matrices are made of float32 numbers there.

    Some settings of torch let them be rounded to TF32 or bfloat16 first.
    """
    ones = torch.eye(64, device=device)
    return bool(((ones * (1 + 2.0**-20)) @ ones).diagonal().min() > 1)


def to_unit(rows: Tensor) -> Tensor:
    """Return rows of length 1, however small or large they were, but for zeros."""
    peaks = torch.maximum(rows.amax(dim=1), -rows.amin(dim=1))
    rows = rows / peaks[:, None]
    return rows.div_(_length(rows)[:, None])


def _move(rows: Tensor, center: Tensor | float, scale: float, *, is_unit: bool) -> Tensor:
    if is_unit:
        return to_unit(rows).sub_(center)
    if scale != 1:
        rows = rows / scale
    return rows - center


def _scale(peak: float, is_unit: bool) -> float:
    return 1.0 if is_unit or 1e-6 < peak < 1e6 or peak == 0 else peak


def _sample(bank: Tensor) -> Tensor:
    step = -(-len(bank) // _SAMPLE)
    return bank[:: max(step, 1)]


def _length(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=1)


def _split(values: Tensor) -> list[Tensor]:
    """Return three numbers of bfloat16 whose sum is a float32 number."""
    parts = []
    for _ in range(3):
        parts.append(values.to(torch.bfloat16).float())
        values = values - parts[-1]
    return parts


def _round_up(values: Tensor) -> Tensor:
    """Return numbers of bfloat16 that are not below `values`, which are not negative."""
    return (values * (1 + _COARSE)).to(torch.bfloat16).float()
