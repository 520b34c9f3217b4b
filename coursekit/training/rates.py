"""Learning rates by depth: small ones near the input, the full one for the head.

Nothing here knows which optimizer uses them.
"""

from typing import Any

from torch import nn

from coursekit.errors import SettingsError
from coursekit.models import layer_groups

__all__ = ["parameter_groups"]


def parameter_groups(
    model: nn.Module, *, lr: float, decay: float = 0.75
) -> list[dict[str, Any]]:
    """Return groups for an optimizer, whose rates fall from the head to the input.

    Parameters
    ----------
    model : Module
        All of its parameters are in the groups, frozen ones too: an optimizer passes over
        them, and has them when they are unfrozen.
    lr : float
        The learning rate of the head.
    decay : float, default=0.75
        The rate of a group as a share of the one behind it; 1 gives all the same.

    Returns
    -------
    list of dict
        One for each of `layer_groups`, first the input's: ``params``, ``lr`` and ``name``. A
        scheduler that sets rates itself takes ``[group["lr"] for group in groups]``.

    Raises
    ------
    SettingsError
        If `lr` is not positive, `decay` is not above 0 and at most 1, or there are no
        parameters.

    References
    ----------
    .. [1] Howard and Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018, sec. 3.2. https://arxiv.org/abs/1801.06146
    .. [2] Bao, Dong, Piao and Wei, "BEiT: BERT Pre-Training of Image Transformers", ICLR
       2022, appendix. https://arxiv.org/abs/2106.08254

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [(group["name"], group["lr"]) for group in parameter_groups(model, lr=0.1, decay=0.5)]
    [('0', 0.05), ('2', 0.1)]
    """
    if not lr > 0:
        msg = f"lr must be positive, got {lr}."
        raise SettingsError(msg)
    if not 0 < decay <= 1:
        msg = f"decay is a share, above 0 and at most 1, got {decay}."
        raise SettingsError(msg)
    groups, parameters = layer_groups(model), dict(model.named_parameters())
    return [
        {
            "params": [parameters[name] for name in group.parameters],
            "lr": lr * decay ** (len(groups) - 1 - index),
            "name": group.name,
        }
        for index, group in enumerate(groups)
    ]
