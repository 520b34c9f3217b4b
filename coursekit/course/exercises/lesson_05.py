"""The exercises of lesson 05, transfer learning and fine-tuning.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

from typing import Any

from coursekit.course.exercises.checking import Case, Exercise, call, check_cases

__all__ = ["EXERCISES"]


def _check_freeze_all_but(answer: object) -> str | None:
    model = _small_net()
    model.body[0].weight.requires_grad_(False)  # it was frozen before
    n_trained = call(answer, model, "head")
    trains = {name for name, value in model.named_parameters() if value.requires_grad}
    wanted = {"head.weight", "head.bias"}
    if trains - wanted:
        return (
            f"After freeze_all_but(model, 'head'), {sorted(trains - wanted)[0]} still trains. "
            "Only what is in model.head should."
        )
    if wanted - trains:
        return (
            f"After freeze_all_but(model, 'head'), {sorted(wanted - trains)[0]} does not train. "
            "Set requires_grad to True for what is in the part."
        )
    if n_trained == len(wanted):
        return "That is the number of tensors. Count their numbers, with numel()."
    if n_trained != 10:
        return (
            f"In a model whose head is Linear(4, 2), 4 * 2 + 2 = 10 numbers train, and "
            f"{n_trained!r} was returned."
        )
    model = _small_net()
    if call(answer, model, "body.0") != 40 or not model.body[0].weight.requires_grad:
        return "The part can have another name, such as 'body.0'; then that part trains."
    if any(value.requires_grad for value in model.head.parameters()):
        return "The head is a part like any other: it is frozen when another one is named."
    return None


def _check_accuracy_over_samples(answer: object) -> str | None:
    import torch  # slow to import

    eye = torch.eye(3)
    full = (eye, torch.tensor([0, 1, 2]))
    half = (eye[:2], torch.tensor([0, 2]))
    one = (eye[:1], torch.tensor([1]))
    cases = [
        Case(([full],), 1.0, "All three are right."),
        Case(([half],), 0.5, "One of two is right."),
        Case(([full, half],), 0.8, "Four of five samples are right."),
        Case(([full, one],), 0.75, "Three of four samples are right."),
    ]
    mistakes = {
        "That is the mean of the batches' means: the one sample of a small batch counts as much "
        "as three of a large one. Sum over samples first.": lambda batches: (
            sum(_share(batch) for batch in batches) / len(batches)
        ),
        "That divides as if the last batch were as large as the first.": lambda batches: (
            sum(_n_right(batch) for batch in batches) / (len(batches) * len(batches[0][1]))
        ),
        "That is a number of samples. Divide by how many there are.": lambda batches: float(
            sum(_n_right(batch) for batch in batches)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_rates_by_depth(answer: object) -> str | None:
    cases = [
        Case((1, 0.1, 0.5), [0.1], "One group is the head alone."),
        Case((2, 0.1, 0.5), [0.05, 0.1], "The head is last, and has the full rate."),
        Case(
            (3, 1.0, 0.25), [0.0625, 0.25, 1.0], "Each has a quarter of the one behind it."
        ),
        Case((2, 0.3, 1.0), [0.3, 0.3], "A decay of 1 gives all the same rate."),
    ]
    mistakes = {
        "That begins with the head. The list goes from the input to the head.": (
            lambda n, lr, decay: [lr * decay**i for i in range(n)]
        ),
        "The head itself has the full rate: its power of decay is 0.": (
            lambda n, lr, decay: [lr * decay ** (n - i) for i in range(n)]
        ),
        "That falls by equal amounts. Each rate is a share of the one behind it.": (
            lambda n, lr, decay: [lr - (n - 1 - i) * lr * (1 - decay) for i in range(n)]
        ),
    }
    return check_cases(_listed(answer), cases, mistakes=mistakes)


def _check_best_epoch(answer: object) -> str | None:
    cases = [
        Case(([0.5],), 1, "There is only one epoch."),
        Case(([0.5, 0.7, 0.6],), 2, "The second is the best."),
        Case(([0.2, 0.4, 0.6],), 3, "The last one can be the best."),
        Case(([0.5, 0.8, 0.8],), 2, "Of equally good ones the earliest."),
    ]
    mistakes = {
        "That counts from 0. The first epoch is epoch 1.": (
            lambda values: values.index(max(values))
        ),
        "That is the last of the best. Take the earliest: it was trained less.": (
            lambda values: len(values) - values[::-1].index(max(values))
        ),
        "That is the last epoch. Restore the best.": lambda values: len(values),
        "That is the accuracy. Return the number of its epoch.": max,
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _small_net() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(9, 4), nn.ReLU())
            self.head = nn.Linear(4, 2)

    return Net()


def _n_right(batch: tuple) -> int:
    logits, labels = batch
    return int((logits.argmax(1) == labels).sum())


def _share(batch: tuple) -> float:
    return _n_right(batch) / len(batch[1])


def _listed(function: Any) -> Any:
    """Return the function, whose answer may also be an array or a tensor."""

    def listed(*arguments: Any) -> Any:
        value = function(*arguments)
        return [float(rate) for rate in value] if value is not None else None

    listed.__name__ = getattr(function, "__name__", "answer")
    return listed


_EXERCISES = (
    Exercise(
        name="05.1 freeze",
        starter="def freeze_all_but(model, name):\n    ...",
        check=_check_freeze_all_but,
        sample=(None, "head"),
    ),
    Exercise(
        name="05.2 the average",
        starter="def accuracy_over_samples(batches):\n    ...",
        check=_check_accuracy_over_samples,
        sample=([],),
    ),
    Exercise(
        name="05.3 rates by depth",
        starter="def rates_by_depth(n_groups, lr, decay):\n    ...",
        check=_check_rates_by_depth,
        sample=(1, 0.1, 0.5),
    ),
    Exercise(
        name="05.4 the best epoch",
        starter="def best_epoch(accuracies):\n    ...",
        check=_check_best_epoch,
        sample=([0.5],),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
