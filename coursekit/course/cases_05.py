"""The exercises of lesson 05, transfer learning and fine-tuning."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off


def _check_freeze_all_but(answer: Callable) -> None:
    body = nn.Sequential(nn.Linear(9, 4), nn.ReLU())
    model = nn.Sequential(OrderedDict(body=body, head=nn.Linear(4, 2)))
    for part, n_right in (("head", 10), ("body.0", 40)):
        n_trained = call(answer, model, part)
        trained = [name for name, value in model.named_parameters() if value.requires_grad]
        right = [f"{part}.weight", f"{part}.bias"]
        stop_if(trained != right, f"After freeze_all_but(model, {part!r}) what trains is "
                f"{trained}. It should be {right}, whatever trained before.")
        stop_if(n_trained == 2, "That is the number of tensors. Count their numbers, with numel().")
        stop_if(n_trained != n_right, f"In {part}, {model.get_submodule(part)}, {n_right} numbers "
                f"train, and {n_trained!r} was returned.")


_freeze_all_but = Exercise("05.1 freeze", "freeze_all_but(model, name)",
    check=_check_freeze_all_but)


_EYE = torch.eye(3)
_FULL = (_EYE, torch.tensor([0, 1, 2]))
_HALF = (_EYE[:2], torch.tensor([0, 2]))
_ONE = (_EYE[:1], torch.tensor([1]))

_accuracy_over_samples = Exercise("05.2 the average", "accuracy_over_samples(batches)", [
    (([_HALF],), 0.5, "One of two is right."),
    (([_FULL, _HALF],), 0.8, "Four of five samples are right."),
    (([_FULL, _ONE],), 0.75, "Three of four samples are right."),
], {
    "That is the mean of the batches' means: the one sample of a small batch counts as much "
    "as three of a large one. Sum over samples first.": lambda batches:
        sum((x.argmax(1) == y).double().mean() for x, y in batches) / len(batches),
    "That is a number of samples. Divide by how many there are.":
        lambda batches: float(sum((x.argmax(1) == y).sum() for x, y in batches)),
})

_rates_by_depth = Exercise("05.3 rates by depth", "rates_by_depth(n_groups, lr, decay)", [
    ((1, 0.1, 0.5), [0.1], "One group is the head alone."),
    ((2, 0.1, 0.5), [0.05, 0.1], "The head is last, and has the full rate."),
    ((3, 1.0, 0.25), [0.0625, 0.25, 1.0], "Each has a quarter of the one behind it."),
], {
    "That begins with the head. The list goes from the input to the head.":
        lambda n, lr, decay: [lr * decay**i for i in range(n)],
    "The head itself has the full rate: its power of decay is 0.":
        lambda n, lr, decay: [lr * decay ** (n - i) for i in range(n)],
    "That falls by equal amounts. Each rate is a share of the one behind it.":
        lambda n, lr, decay: [lr - (n - 1 - i) * lr * (1 - decay) for i in range(n)],
})

_best_epoch = Exercise("05.4 the best epoch", "best_epoch(accuracies)", [
    (([0.5],), 1, "There is only one epoch."),
    (([0.5, 0.7, 0.6],), 2, "The second is the best."),
    (([0.5, 0.8, 0.8],), 2, "Of equally good ones the earliest."),
], {
    "That counts from 0. The first epoch is epoch 1.":
        lambda values: values.index(max(values)),
    "That is the last of the best. Take the earliest: it was trained less.":
        lambda values: len(values) - values[::-1].index(max(values)),
    "That is the accuracy. Return the number of its epoch.": max,
})
