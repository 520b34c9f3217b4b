"""Make the rows of a summary's table from the calls of a model's modules.

Nothing here knows how the costs of a call were counted.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from torch import nn

from coursekit.inspection.module_calls import ModuleCall
from coursekit.inspection.rules import Signal
from coursekit.inspection.summary import WHOLE_IMAGE

__all__ = ["make_table"]


def make_table(model: nn.Module, calls: Sequence[ModuleCall]) -> pd.DataFrame:
    """Return one row for each call, and for each part of `model` that was not called.

    Every parameter stands in the row of the first call of the module that holds it.
    """
    counted: set[int] = set()
    rows = []
    for call in _with_uncalled(model, calls):
        modules = [call.module] if call.n_calls else list(call.module.modules())
        own = [p for m in modules for p in m.parameters(recurse=False)]
        new = {id(p): p for p in own if id(p) not in counted}
        counted |= set(new)
        rows.append(
            {
                "name": call.name or "(model)",
                "type": type(call.module).__name__,
                "call": call.n_calls,
                "depth": call.depth,
                "output_shape": call.output_shape,
                "parameters": sum(p.numel() for p in new.values()),
                "trainable": sum(p.numel() for p in new.values() if p.requires_grad),
                "multiply_adds": call.multiply_adds,
                "saved_bytes": call.saved_bytes,
                **_field(call.notes.get("signal")),
            }
        )
    return pd.DataFrame(rows).astype({"output_shape": object})


def _with_uncalled(model: nn.Module, calls: Sequence[ModuleCall]) -> list[ModuleCall]:
    """Add, at the end of their parents, the parts that have parameters and were not called."""
    called = {call.name for call in calls}
    reached = {
        name.rsplit(".", n)[0] for name in called for n in range(name.count(".") + 1)
    }
    reached |= {""}
    found = list(calls)
    for name, module in model.named_modules():
        parent = name.rpartition(".")[0]
        if name in reached or parent not in reached:
            continue
        if not any(True for _ in module.parameters()):
            continue
        inside = [
            place
            for place, call in enumerate(found)
            if not parent or call.name == parent or call.name.startswith(f"{parent}.")
        ]
        depth = parent.count(".") + 2 if parent else 1
        found.insert(max(inside, default=-1) + 1, ModuleCall(name, module, depth, 0))
    return found


def _field(signal: Signal | None) -> dict[str, Any]:
    if signal is None:
        return {"receptive_field": None, "stride": None, "padding": None}
    sizes, strides, starts = zip(*signal.axes, strict=True)
    if None in sizes:
        return {"receptive_field": WHOLE_IMAGE, "stride": None, "padding": None}
    return {
        "receptive_field": sizes,
        "stride": strides,
        "padding": tuple(-start for start in starts),
    }
