"""Read what a call of a torch function or tensor method does to positions.

Nothing here knows of modules or receptive fields.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from coursekit.inspection.steps import (
    EVERYWHERE,
    POINTWISE,
    Step,
    UnknownStepError,
    mix_last,
    slide_window,
)

__all__ = ["read_call"]

_POINTWISE_CALLS = frozenset(
    [
        "abs",
        "add",
        "alpha_dropout",
        "batch_norm",
        "bfloat16",
        "celu",
        "clamp",
        "clip",
        "clone",
        "contiguous",
        "cos",
        "cpu",
        "cuda",
        "detach",
        "div",
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "elu",
        "eq",
        "exp",
        "expm1",
        "float",
        "floordiv",
        "ge",
        "gelu",
        "glu",
        "gt",
        "half",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "iadd",
        "imul",
        "isub",
        "itruediv",
        "le",
        "leaky_relu",
        "local_response_norm",
        "log",
        "log1p",
        "logsigmoid",
        "lt",
        "maximum",
        "minimum",
        "mish",
        "mul",
        "neg",
        "ne",
        "pow",
        "prelu",
        "reciprocal",
        "relu",
        "relu6",
        "round",
        "rrelu",
        "rsqrt",
        "selu",
        "sigmoid",
        "sign",
        "silu",
        "sin",
        "softplus",
        "softshrink",
        "softsign",
        "sqrt",
        "square",
        "stochastic_depth",
        "sub",
        "tanh",
        "tanhshrink",
        "threshold",
        "to",
        "truediv",
        "type",
        "type_as",
        "where",
    ]
)
_EVERYWHERE_CALLS = frozenset(
    [
        "bmm",
        "einsum",
        "group_norm",
        "instance_norm",
        "matmul",
        "multi_head_attention_forward",
        "scaled_dot_product_attention",
    ]
)
_REDUCTIONS = frozenset(
    [
        "amax",
        "amin",
        "argmax",
        "logsumexp",
        "max",
        "mean",
        "min",
        "norm",
        "prod",
        "std",
        "sum",
        "var",
    ]
)
_CONSTANTS = frozenset(
    ["_assert", "dim", "getattr", "ones_like", "shape", "size", "zeros_like"]
)


_RANKS = {"1d", "2d", "3d"}


def read_call(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    find_tensor: Callable[[Any], Tensor | None],
) -> Step:
    """Return what a function or method of torch does, called by `name` with `args`.

    Parameters
    ----------
    name : str
        Without the underscore of methods that work in place.
    args, kwargs
        As recorded, the image first.
    find_tensor : callable
        Gives the weights that a recorded argument stands for.

    Raises
    ------
    UnknownStepError
        If no rule is known for it.
    """
    if name in _POINTWISE_CALLS:
        return POINTWISE
    if name in _EVERYWHERE_CALLS:
        return EVERYWHERE
    if name in _CONSTANTS:
        return Step("constant")
    if name in _REDUCTIONS:
        numbers = {
            "dims": _argument(args, kwargs, 1, "dim", None),
            "keepdim": _argument(args, kwargs, 2, "keepdim", False),
        }
        return Step("reduce", numbers)
    reader = _CALL_READERS.get(name[:-2] if name[-2:] in _RANKS else name)
    if reader is None:
        raise UnknownStepError
    return reader(args, kwargs, find_tensor)


def _argument(
    args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str, default: Any
) -> Any:
    return kwargs.get(name, args[place] if len(args) > place else default)


def _read_conv_call(args: Any, kwargs: Any, find_tensor: Any) -> Step:
    weight = find_tensor(_argument(args, kwargs, 1, "weight", None))
    if weight is None:
        raise UnknownStepError
    values = [
        _argument(args, kwargs, 3 + place, name, default)
        for place, (name, default) in enumerate(
            (("stride", 1), ("padding", 0), ("dilation", 1))
        )
    ]
    return slide_window(tuple(weight.shape[2:]), *values)


def _read_max_pool_call(args: Any, kwargs: Any, _: Any) -> Step:
    return _read_pool_call(
        args, kwargs, ("padding", "dilation", "ceil_mode"), (0, 1, False)
    )


def _read_avg_pool_call(args: Any, kwargs: Any, _: Any) -> Step:
    return _read_pool_call(args, kwargs, ("padding", "ceil_mode"), (0, False))


def _read_pool_call(args: Any, kwargs: Any, names: Any, defaults: Any) -> Step:
    kernel = _argument(args, kwargs, 1, "kernel_size", None)
    stride = _argument(args, kwargs, 2, "stride", None)
    rest = {
        name: _argument(args, kwargs, 3 + place, name, default)
        for place, (name, default) in enumerate(zip(names, defaults, strict=True))
    }
    return slide_window(kernel, kernel if stride is None else stride, **rest)


def _read_softmax(args: Any, kwargs: Any, _: Any) -> Step:
    return Step("mix", {"dims": (_argument(args, kwargs, 1, "dim", -1),)})


_CALL_READERS: Mapping[str, Callable[[Any, Any, Any], Step]] = {
    "conv": _read_conv_call,
    "max_pool": _read_max_pool_call,
    "avg_pool": _read_avg_pool_call,
    "adaptive_avg_pool": lambda a, k, _: Step(
        "adaptive", {"output": _argument(a, k, 1, "output_size", None)}
    ),
    "adaptive_max_pool": lambda a, k, _: Step(
        "adaptive", {"output": _argument(a, k, 1, "output_size", None)}
    ),
    "linear": lambda *_: mix_last(1),
    "layer_norm": lambda a, k, _: mix_last(len(_argument(a, k, 1, "normalized_shape", ()))),
    "softmax": _read_softmax,
    "log_softmax": _read_softmax,
    "flatten": lambda a, k, _: Step(
        "flatten",
        {
            "start": _argument(a, k, 1, "start_dim", 0),
            "end": _argument(a, k, 2, "end_dim", -1),
        },
    ),
    "pad": lambda a, k, _: Step("pad", {"amounts": _argument(a, k, 1, "pad", ())}),
    "cat": lambda a, k, _: Step("cat", {"dim": _argument(a, k, 1, "dim", 0)}),
    "concat": lambda a, k, _: Step("cat", {"dim": _argument(a, k, 1, "dim", 0)}),
    "permute": lambda a, k, _: Step("permute", {"order": _as_order(a, k)}),
    "transpose": lambda a, k, _: Step(
        "transpose",
        {"first": _argument(a, k, 1, "dim0", 0), "second": _argument(a, k, 2, "dim1", 1)},
    ),
    "view": lambda a, _k, _: Step("reshape", {"shape": _as_shape(a)}),
    "reshape": lambda a, _k, _: Step("reshape", {"shape": _as_shape(a)}),
    "chunk": lambda a, k, _: Step("split", {"dim": _argument(a, k, 2, "dim", 0)}),
    "split": lambda a, k, _: Step("split", {"dim": _argument(a, k, 2, "dim", 0)}),
    "getitem": lambda a, _k, _: Step("index", {"index": a[1]}),
    "unsqueeze": lambda a, k, _: Step("unsqueeze", {"dim": _argument(a, k, 1, "dim", 0)}),
}


def _as_order(args: Any, kwargs: Any) -> tuple[int, ...]:
    order = kwargs.get("dims", args[1:])
    return tuple(order[0] if len(order) == 1 and not isinstance(order[0], int) else order)


def _as_shape(args: Any) -> tuple[Any, ...]:
    shape = args[1:]
    return tuple(
        shape[0] if len(shape) == 1 and isinstance(shape[0], (list, tuple)) else shape
    )
