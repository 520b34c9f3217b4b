"""Record what the layers of a network return, and the gradients that come back to them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from coursekit.errors import SettingsError, did_you_mean

__all__ = ["record_activations", "record_gradients"]

Layers = str | type[nn.Module] | Iterable[str | type[nn.Module]] | None


@contextmanager
def record_activations(model: nn.Module, layers: Layers = None) -> Iterator[dict[str, Any]]:
    """Record what layers of `model` return while the block runs.

    Parameters
    ----------
    model : nn.Module
    layers : str, type, or several of them, optional
        A name (``"layer1.0.conv1"``), a pattern (``"layer1.*"``, where ``*`` stands for dots
        too), a type (``nn.Conv2d``). Without it: every module that has no children.

    Yields
    ------
    dict of str to Tensor
        By name, in the order of the calls. The second call of a layer, in this or in a later
        forward pass, is ``"layer1.0.relu (call 2)"``.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with record_activations(model) as recorded:
    ...     _ = model(torch.ones(1, 2))
    >>> torch.equal(recorded["0"].relu(), recorded["1"])
    True
    """
    recorded: dict[str, Any] = {}

    def keep(name: str, output: Any) -> None:
        # A copy, because an in-place layer overwrites the output of the layer before it:
        # without it 17 of the 52 layers of a ResNet-18 are wrong.
        recorded[name] = tree_map_only(Tensor, lambda t: t.detach().clone(), output)

    with _on_each_call(model, layers, keep):
        yield recorded


@contextmanager
def record_gradients(
    model: nn.Module, layers: Layers = None
) -> Iterator[dict[str, Tensor | None]]:
    """Record the gradients of a loss by what layers of `model` return.

    The forward and the backward pass run inside the block. Layers are chosen as for
    `record_activations`.

    Yields
    ------
    dict of str to Tensor
        By name, in the order of the *forward* pass; None where no gradient came, or where the
        layer returns something else than one tensor.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    >>> with record_gradients(model) as recorded:
    ...     model(torch.ones(1, 2)).sum().backward()
    >>> recorded["1"]
    tensor([[1., 1., 1.]])
    """
    recorded: dict[str, Tensor | None] = {}

    def keep(name: str, output: Any) -> None:
        def arrive(gradient: Tensor) -> None:
            recorded[name] = gradient.detach().clone()

        recorded[name] = None
        if isinstance(output, Tensor) and output.requires_grad:
            hooks.enter_context(output.register_hook(arrive))

    with ExitStack() as hooks, _on_each_call(model, layers, keep):
        yield recorded


@contextmanager
def _on_each_call(
    model: nn.Module, layers: Layers, keep: Callable[[str, Any], None]
) -> Iterator[None]:
    """Call `keep` with the name of the call and the output at each call of a layer."""
    n_calls: Counter[str] = Counter()

    def hook(name: str, _: nn.Module, __: Any, output: Any) -> None:
        n_calls[name] += 1
        keep(name if n_calls[name] == 1 else f"{name} (call {n_calls[name]})", output)

    with ExitStack() as hooks:
        for name in _choose(model, layers):
            layer = model.get_submodule(name)
            hooks.enter_context(layer.register_forward_hook(partial(hook, name)))
        yield


def _choose(model: nn.Module, layers: Layers) -> list[str]:
    modules = model.named_modules()
    named = {name: m for name, m in modules if "parametrizations" not in name.split(".")}
    if layers is None:
        return [name for name, module in named.items() if _is_leaf(module)]
    chosen: set[str] = set()
    for one in [layers] if isinstance(layers, str | type) else layers:
        if isinstance(one, type):
            found = {name for name, module in named.items() if isinstance(module, one)}
        else:
            found = {n for n in named if n == one or (n and fnmatchcase(n, one))}
        if not found:
            msg = (
                f"The model has no layer {getattr(one, '__name__', repr(one))}, see "
                f"model.named_modules().{did_you_mean(str(one), named)}"
            )
            raise SettingsError(msg)
        chosen |= found
    return [name for name in named if name in chosen]


def _is_leaf(module: nn.Module) -> bool:
    # Attention uses the weights of its child without calling it.
    inner = {name for name, _ in module.named_children()} - {"parametrizations"}
    return not inner or isinstance(module, nn.MultiheadAttention)
