"""`GradualUnfreezing`: first the head trains, then more and more of what is before it.

Nothing here knows about optimizers but that they must hold what will be unfrozen.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coursekit.errors import SettingsError, TrainingError
from coursekit.training.callbacks import Callback
from coursekit.training.parameters import freeze, unfreeze

if TYPE_CHECKING:
    from coursekit.training.trainer import Trainer

__all__ = ["GradualUnfreezing"]

Layers = int | str | Sequence[str]


class GradualUnfreezing(Callback):
    """Unfreezes layers in the epochs of a plan; all that it does not name stays frozen.

    Which parameters train depends on the epoch alone, so a resumed training goes on as an
    uninterrupted one. The optimizer keeps its groups, and what it remembers of them.

    Parameters
    ----------
    plan : mapping of int to int, str or sequence of str
        From which epoch on, counted from 1, which layers train: so many groups of layers
        from the head back, or names, as `unfreeze` takes them. ``{1: 1, 3: 2, 5: "*"}``
        trains the head alone for two epochs, then the block before it too, then everything.

    Raises
    ------
    SettingsError
        If the plan is empty, does not begin with epoch 1, or names what is no epoch.

    Notes
    -----
    Make the optimizer of all parameters of the model. Several processes agree on what trains
    before the first epoch, so this needs a single one.

    References
    ----------
    .. [1] Howard and Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018, sec. 3.3. https://arxiv.org/abs/1801.06146
    """

    def __init__(self, plan: Mapping[int, Layers]) -> None:
        self.plan = dict(sorted(plan.items())) if _are_epochs(plan) else {}
        if not self.plan or min(self.plan) != 1:
            msg = (
                "A plan says for epochs which layers train from then on, beginning with epoch "
                f"1, got {dict(plan)!r}. For example {{1: 1, 3: 2, 5: '*'}}."
            )
            raise SettingsError(msg)

    def on_fit_begin(self, trainer: "Trainer", **kwargs: Any) -> None:  # noqa: ARG002
        """Check that all layers of the plan are there, and in the optimizer.

        Raises
        ------
        TrainingError
            If the optimizer lacks some of them, or there are several processes.
        """
        if trainer.n_processes > 1:
            msg = (
                "Gradual unfreezing needs one process: several agree on what trains before "
                "the first epoch. Train in stages instead, with a Trainer for each."
            )
            raise TrainingError(msg)
        held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
        parameters = dict(trainer.model.named_parameters())
        self._set(trainer, max(self.plan))
        missing = [
            name
            for name, parameter in parameters.items()
            if parameter.requires_grad and id(parameter) not in held
        ]
        if missing:
            msg = (
                f"The plan unfreezes {missing[0]!r} and {len(missing) - 1} more that the "
                "optimizer does not hold. Make it of all parameters: "
                "torch.optim.AdamW(model.parameters()), or of parameter_groups(model, lr=...)."
            )
            raise TrainingError(msg)

    def on_epoch_begin(self, trainer: "Trainer", **kwargs: Any) -> None:
        """Freeze and unfreeze what the plan says for this epoch."""
        self._set(trainer, kwargs["epoch"])

    def _set(self, trainer: "Trainer", epoch: int) -> None:
        freeze(trainer.model, "*")
        for first, layers in self.plan.items():
            if first <= epoch:
                if isinstance(layers, int):
                    unfreeze(trainer.model, depth=layers)
                else:
                    unfreeze(trainer.model, layers)


def _are_epochs(plan: Mapping[int, Layers]) -> bool:
    return all(isinstance(epoch, int) and epoch >= 1 for epoch in plan)
