"""Compute receptive fields by following a traced model from its input to its output.

Nothing is run: what a model computes is read from its graph (`torch.fx`). What single
layers do to a field is told by `coursekit.inspection.rules`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from coursekit.errors import SettingsError
from coursekit.inspection.calls import read_call
from coursekit.inspection.fields import LayerField, ReceptiveField
from coursekit.inspection.rules import Signal, follow
from coursekit.inspection.steps import (
    Step,
    UnknownStepError,
    count_axes,
    read_module,
)

__all__ = ["receptive_field"]


def receptive_field(
    model: nn.Module, *, input_size: Sequence[int] | None = None
) -> ReceptiveField:
    """Return the part of the input that one output of `model` can depend on.

    Branches and skips are followed, and a join sees what any of its branches sees. It
    handles convolution, pooling, padding, dilation and stride in one, two and three
    dimensions; linear layers after flattening, attention, global pooling and
    normalization over positions make it the whole image.

    Parameters
    ----------
    model : nn.Module
        It is only read: its mode, weights and random state stay as they are.
    input_size : (height, width), optional
        Of the image. Only adaptive pooling to more than one position needs it, and is
        taken for the whole image without it.

    Returns
    -------
    ReceptiveField
        With one row for each layer, so that ``[layer.size for layer in field.layers]``
        tells how the field grows.

    Raises
    ------
    SettingsError
        If `model` is no module, cannot be traced, or has a step whose reach cannot be told
        from the graph, such as upsampling; the message names it.

    Notes
    -----
    It is the field in theory. Near the border a part of it lies in the padding, and most
    of its pixels hardly matter: see `measured_receptive_field`.

    References
    ----------
    .. [1] Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
       Networks", Distill 2019, secs. "Problem setup" and "Arbitrary computation graphs".
       https://distill.pub/2019/computing-receptive-fields/

    Examples
    --------
    >>> two = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3))
    >>> receptive_field(two)
    ReceptiveField(7 x 7 pixels, stride 2 x 2, from 0 x 0 on; 2 layers)
    """
    if not isinstance(model, nn.Module):
        msg = f"model must be an nn.Module, got {type(model).__name__}."
        raise SettingsError(msg)
    n_axes = count_axes(model)
    if input_size is not None and len(input_size) != n_axes:
        msg = (
            f"input_size must hold {n_axes} numbers, one an axis, got {tuple(input_size)}."
        )
        raise SettingsError(msg)
    walk = _Walk(model, Signal.of_image(n_axes, input_size))
    for node in _trace(walk.model).nodes:
        walk.visit(node)
    if not walk.layers:
        msg = "The model has no layer between its input and its output."
        raise SettingsError(msg)
    return ReceptiveField(layers=tuple(walk.layers))


class _Walk:
    """Follows the image through a graph, node by node, and notes every layer."""

    def __init__(self, model: nn.Module, image: Signal) -> None:
        # A single layer is wrapped, because only what is inside a model is traced.
        is_layer = fx.Tracer().is_leaf_module(model, "")
        self.model = nn.Sequential(model) if is_layer else model
        self.modules = dict(self.model.named_modules())
        self.image = image
        self.signals: dict[fx.Node, Signal | None] = {}
        self.layers: list[LayerField] = []

    def visit(self, node: fx.Node) -> None:
        """Note what the outputs of `node` see."""
        if node.op == "placeholder":  # arguments with a default are no images
            self.signals[node] = None if node.args else self.image
            return
        inputs = [self.signals[source] for source in node.all_input_nodes]
        inputs = [signal for signal in inputs if signal is not None]
        try:
            signal = follow(self._read(node, inputs), inputs)
        except UnknownStepError as error:
            msg = (
                f"The receptive field cannot be told after {self._name(node)!r} "
                f"({self._kind(node)}). Ask for the part of the model before it, or measure "
                "it: measured_receptive_field(model, input_size)."
            )
            raise SettingsError(msg) from error
        self.signals[node] = signal
        if signal is None:
            return
        changed = any(_numbers(signal) != _numbers(source) for source in inputs)
        if changed or node.op == "call_module" or (node.op != "output" and len(inputs) > 1):
            self.layers.append(
                LayerField(self._name(node), self._kind(node), *_numbers(signal))
            )

    def _read(self, node: fx.Node, inputs: list[Signal]) -> Step:
        if not inputs:
            return Step("constant")
        try:
            if node.op == "call_module":
                return read_module(self.modules[node.target])
            if node.op == "output":
                return Step("pointwise")
            name = self._kind(node).rstrip("_")
            return read_call(name, node.args, node.kwargs, find_tensor=self._find_tensor)
        except UnknownStepError:
            if all(signal.is_whole for signal in inputs):
                return Step("everywhere")
            raise

    def _find_tensor(self, node: Any) -> torch.Tensor | None:
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            return None
        owner, _, name = node.target.rpartition(".")
        return getattr(self.modules[owner], name, None)

    def _name(self, node: fx.Node) -> str:
        return node.target if node.op == "call_module" else node.name

    def _kind(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.modules[node.target]).__name__
        return node.target if isinstance(node.target, str) else node.target.__name__


def _numbers(signal: Signal) -> tuple[Any, ...]:
    """Size (None for the whole image), stride and start of each axis."""
    sizes, strides, starts = zip(*signal.axes, strict=True)
    return (None if None in sizes else sizes), strides, starts


def _trace(model: nn.Module) -> fx.Graph:
    try:
        return fx.Tracer().trace(model)
    except Exception as error:
        msg = (
            "The receptive field is read from a graph, and the forward pass of "
            f"{type(model).__name__} cannot be traced: {error}. Ask for a part of it, or "
            "measure it: measured_receptive_field(model, input_size)."
        )
        raise SettingsError(msg) from error
