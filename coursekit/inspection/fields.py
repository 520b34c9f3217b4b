"""The arithmetic of receptive fields: one axis, one layer, a whole network.

Nothing here knows about torch. Positions and sizes are input pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from coursekit.errors import SettingsError, ShapeError

__all__ = ["Axis", "LayerField", "ReceptiveField", "join"]


class Axis(NamedTuple):
    """What position i of a map sees along one axis of the input.

    It sees `size` pixels from ``start + i * stride`` on; all of them if `size` is None.
    """

    size: int | None = 1
    stride: int = 1
    start: int = 0

    def window(self, *, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        """Return the axis after a window slid over this one.

        Examples
        --------
        >>> Axis().window(kernel=3, stride=2, padding=1, dilation=1)
        Axis(size=3, stride=2, start=-1)
        """
        start = self.start - padding * self.stride
        if self.size is None:
            return Axis(None, self.stride * stride, start)
        size = self.size + dilation * (kernel - 1) * self.stride
        return Axis(size, self.stride * stride, start)

    def whole(self) -> "Axis":
        """Return the axis after every position was mixed with every other."""
        return self._replace(size=None)


def join(axes: Iterable[Axis]) -> Axis:
    """Return the axis of a map that depends on several: it sees what any of them sees.

    Raises
    ------
    ShapeError
        If their strides differ, so that positions do not correspond.

    Examples
    --------
    >>> join([Axis(5, 1, -2), Axis(3, 1, -1)])
    Axis(size=5, stride=1, start=-2)
    """
    axes = list(axes)
    if any(axis.size is None for axis in axes):
        return next(axis for axis in axes if axis.size is None)
    if len({axis.stride for axis in axes}) > 1:
        msg = (
            "Maps that are joined must have one stride, got strides "
            f"{sorted({axis.stride for axis in axes})}."
        )
        raise ShapeError(msg)
    start = min(axis.start for axis in axes)
    end = max(axis.start + axis.size for axis in axes)
    return Axis(end - start, axes[0].stride, start)


class LayerField(NamedTuple):
    """What an output of one layer sees; one number an axis, rows before columns.

    Parameters
    ----------
    name : str
        Where the layer stands in the model, for example ``"features.0"``.
    kind : str
        Its class or function, for example ``"Conv2d"``.
    size : tuple of int, or None
        Input pixels that it sees; None for the whole image.
    stride : tuple of int
        Input pixels between the fields of two neighbors.
    start : tuple of int
        First input pixel that its first output sees; negative where padding is.
    """

    name: str
    kind: str
    size: tuple[int, ...] | None
    stride: tuple[int, ...]
    start: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ReceptiveField:
    """The part of an image that one output of a network can depend on.

    Parameters
    ----------
    layers : tuple of LayerField
        Every layer in the order in which it runs; the last one is the network's output.
    """

    layers: tuple[LayerField, ...]

    @property
    def size(self) -> tuple[int, ...] | None:
        """Rows and columns that an output sees; None for the whole image."""
        return self.layers[-1].size

    @property
    def stride(self) -> tuple[int, ...]:
        """Rows and columns between the fields of two neighboring outputs."""
        return self.layers[-1].stride

    @property
    def start(self) -> tuple[int, ...]:
        """First row and column that the first output sees; negative where padding is."""
        return self.layers[-1].start

    @property
    def is_whole_image(self) -> bool:
        """Whether every output can depend on every pixel, whatever the image's size."""
        return self.size is None

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the pixels that the output at (`row`, `column`) sees.

        Returns
        -------
        (first_row, first_column, n_rows, n_columns)
            It may reach beyond the image, where padding is.

        Raises
        ------
        SettingsError
            If the field is the whole image, or the network is not two-dimensional.
        """
        if self.size is None or len(self.size) != 2:
            msg = (
                "A box needs a field of rows and columns, got "
                f"{self}. Ask for the field of the layers before, "
                "as in receptive_field(model.features)."
            )
            raise SettingsError(msg)
        first_row = self.start[0] + row * self.stride[0]
        first_column = self.start[1] + column * self.stride[1]
        return first_row, first_column, self.size[0], self.size[1]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a layer: name, kind, size, stride, start."""
        return pd.DataFrame(self.layers, columns=list(LayerField._fields))

    def __str__(self) -> str:
        if self.size is None:
            return "the whole image"
        pixels, stride, start = (
            " x ".join(map(str, numbers))
            for numbers in (self.size, self.stride, self.start)
        )
        return f"{pixels} pixels, stride {stride}, from {start} on"

    def __repr__(self) -> str:
        return f"ReceptiveField({self}; {len(self.layers)} layers)"
