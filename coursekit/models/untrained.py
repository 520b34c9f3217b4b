"""Give a model the weights of one that was never trained.

Nothing here knows about data or training.
"""

from torch import nn

from coursekit.errors import SettingsError
from coursekit.models.copies import copy_model
from coursekit.seeds import seeded

__all__ = ["build_untrained"]


def build_untrained(model: nn.Module, *, seed: int) -> nn.Module:
    """Return a copy of `model` whose layers draw their weights anew.

    Parameters
    ----------
    model : Module
        It stays as it was.
    seed : int
        Draws the weights, as each layer of PyTorch does by itself.

    Returns
    -------
    Module
        All its parameters train; averages of batch normalization are those of a new layer.

    Raises
    ------
    SettingsError
        If a parameter belongs to a layer that cannot draw it.
    """
    fresh = copy_model(model).requires_grad_(True)
    drawn: set[int] = set()
    with seeded(seed, "untrained"):
        for layer in fresh.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
                drawn |= {id(parameter) for parameter in layer.parameters()}
    old = [name for name, value in fresh.named_parameters() if id(value) not in drawn]
    if old:
        msg = (
            f"{old[0]!r} of {type(model).__name__} cannot be drawn anew, because its layer has "
            "no reset_parameters(). Build an untrained network by the function that made this "
            "one."
        )
        raise SettingsError(msg)
    return fresh
