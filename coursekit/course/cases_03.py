"""The exercises of lesson 03, features and nearest neighbors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_ZERO, _FLAT = torch.zeros(2, 2), torch.ones(2, 2)
_RAMP = torch.arange(4.0).reshape(2, 2)
_TILTED = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])  # its sum is zero


def _maps(*images: list[Tensor]) -> tuple[Tensor]:
    return (torch.stack([torch.stack(channels) for channels in images]),)


def _is_dead(maps: Tensor) -> Tensor:
    return maps.amax((0, 2, 3)) == maps.amin((0, 2, 3))


def _is_flat(maps: Tensor) -> Tensor:
    """Whether a channel is one number within an image, (n_images, channels)."""
    return maps.amax((2, 3)) == maps.amin((2, 3))


def _where(chosen: Tensor) -> list[int]:
    return chosen.nonzero().flatten().tolist()


_dead_channels = Exercise("03.1 dead filters", "dead_channels(maps)", [
    (_maps([_ZERO, _RAMP]), [0], "A map of zeros alone tells nothing."),
    (_maps([_RAMP, _RAMP]), [], "Both maps differ from place to place."),
    (_maps([_ZERO, _ZERO, _RAMP]), [0, 1], "There can be several."),
    (_maps([_FLAT, _RAMP]), [0], "The same number everywhere need not be zero."),
    (_maps([_ZERO, _RAMP], [_RAMP, _ZERO]), [],
     "Each of the two answers to one of the images."),
    (_maps([_ZERO, _RAMP], [_FLAT, _RAMP]), [],
     "Channel 0 is flat in each image, but tells the two images apart."),
    (_maps([_TILTED, _ZERO]), [1], "A mean of zero does not make a map of zeros."),
], {
    "Those are channels that are zero everywhere. Any single number will do.":
        lambda maps: _where((maps == 0).flatten(2).all(2).all(0)),
    "A channel that is flat within each image may still differ between images: look over "
    "images and places together.": lambda maps: _where(_is_flat(maps).all(0)),
    "A channel that is flat in one image may answer to another.":
        lambda maps: _where(_is_flat(maps).any(0)),
    "Those are the living ones.": lambda maps: _where(~_is_dead(maps)),
    "A mean of zero does not make a map of zeros.":
        lambda maps: _where(maps.mean((0, 2, 3)) == 0),
})

_EAST, _NORTH = [1.0, 0.0], [0.0, 1.0]
_BANK = torch.tensor([[5.0, 5.0], [0.0, 2.0], [1.0, 0.2], [-3.0, 0.0]])
_QUERY, _BOTH = torch.tensor([_EAST]), torch.tensor([_EAST, _NORTH])


def _cosines(queries: Tensor, bank: Tensor) -> Tensor:
    return F.normalize(queries) @ F.normalize(bank).T


_nearest_by_cosine = Exercise("03.3 cosine", "nearest_by_cosine(queries, bank, k)", [
    ((_QUERY, torch.tensor([_NORTH, _EAST]), 1), [[1]], "Which one points the same way?"),
    ((_QUERY, torch.tensor([_EAST, _NORTH]), 2), [[0, 1]], "The nearest comes first."),
    ((_QUERY, _BANK, 1), [[2]], "A long vector is not nearer because it is long."),
    ((_BOTH, _BANK, 2), [[2, 0], [1, 0]], "Each query has a row of its own."),
    ((_BOTH, _BANK, 4), [[2, 0, 1, 3], [1, 0, 2, 3]], "Opposite vectors come last."),
    ((100 * _BOTH, _BANK / 100, 2), [[2, 0], [1, 0]], "Lengths must not matter."),
], {
    "That is the scalar product. The lengths of the bank's vectors have to go: divide each "
    "vector by its length.": lambda q, b, k: (q @ b.T).topk(k).indices,
    "That is the Euclidean distance, which also looks at lengths.":
        lambda q, b, k: torch.cdist(q, b).topk(k, largest=False).indices,
    "Those are the farthest: the largest cosine is the nearest.":
        lambda q, b, k: _cosines(q, b).topk(k, largest=False).indices,
    "Those are the cosines. Asked are the places in the bank.":
        lambda q, b, k: _cosines(q, b).topk(k).values,
})


def _votes(*rows: list[int]) -> tuple[Tensor]:
    return (torch.tensor(rows),)


def _modes(labels: Tensor) -> list[int]:
    """Return the most frequent of each row, the smallest where there are several."""
    return [min(set(row), key=lambda x: (-row.count(x), x)) for row in labels.tolist()]


_majority = Exercise("03.4 the vote", "majority(labels)", [
    (_votes([2]), [2], "With one neighbor there is nothing to count."),
    (_votes([3, 3, 1]), [3], "Class 3 has two of three votes."),
    (_votes([1, 3, 3]), [3], "The nearest alone does not decide."),
    (_votes([1, 3, 3], [0, 0, 2]), [3, 0], "Each query has a row of its own."),
    (_votes([3, 1, 1, 3]), [3], "Two against two: whose first neighbor is nearer?"),
    (_votes([2, 0, 1]), [2], "All have one vote."),
    (_votes([4, 0, 1, 1, 0]), [0], "Between the two that lead, who comes first?"),
], {
    "That is the class of the nearest neighbor. All k of them vote.":
        lambda labels: labels[:, 0],
    "Where several have equally many votes you take the smallest class number. It should "
    "be the one whose first neighbor is nearer.": _modes,
    "Where several have equally many votes you take the largest class number. It should "
    "be the one whose first neighbor is nearer.":
        lambda labels: [-label for label in _modes(-labels)],
    "Those are counts of votes. Asked is the class that has them.":
        lambda labels: [max(row.count(x) for x in row) for row in labels.tolist()],
})


def _found(found: list[list[int]], true: list[list[int]], k: int) -> tuple[Tensor, Tensor, int]:
    return torch.tensor(found), torch.tensor(true), k


def _hits(found: Tensor, true: Tensor, k: int) -> Tensor:
    return (found[:, :k, None] == true[:, None, :k]).any(2).double()


_share_found = Exercise("03.5 recall", "share_found(found, true, k)", [
    (_found([[1, 2]], [[1, 2]], 2), 1.0, "All were found."),
    (_found([[2, 1]], [[1, 2]], 2), 1.0, "Their order does not matter."),
    (_found([[1, 9]], [[1, 2]], 2), 0.5, "One of two was found."),
    (_found([[1, 9], [8, 9]], [[1, 2], [3, 4]], 2), 0.25,
     "One of four was found, over both queries."),
    (_found([[1, 5, 2, 6]], [[1, 2, 5, 3]], 2), 0.5, "Only the first k of both sides count."),
    (_found([[7, 8]], [[1, 2]], 2), 0.0, "Nothing was found."),
    (_found([[4, 3, 2, 1]], [[1, 2, 3, 9]], 4), 0.75, "Three of four, at other places."),
], {
    "A neighbor counts as found wherever it stands among the k: compare the rows as sets.":
        lambda f, t, k: (f[:, :k] == t[:, :k]).double().mean(),
    "That counts queries for which anything was found. Recall counts neighbors.":
        lambda f, t, k: _hits(f, t, k).amax(1).mean(),
    "k is not used yet: cut both sides to their first k.":
        lambda f, t, k: _hits(f, t, f.shape[1]).mean(),
    "That is the share that was missed.": lambda f, t, k: 1 - _hits(f, t, k).mean(),
    "That is a number of neighbors. Recall is a share, between 0 and 1.":
        lambda f, t, k: k * _hits(f, t, k).mean(),
    "That is in percent. Recall is a share, between 0 and 1.":
        lambda f, t, k: 100 * _hits(f, t, k).mean(),
})


def _check_embedding(answer: Callable) -> None:
    model, seen = _watched_model()
    images = torch.linspace(-1, 1, 7 * 2 * 9).sin().reshape(7, 2, 3, 3)
    statistics = model[0].running_mean.clone()
    with torch.no_grad():
        right = model.eval()(images)
    model.train()
    seen.clear()
    with torch.enable_grad():
        got = call(answer, model, images.clone(), 3)
    _check_passes(seen)
    _check_rows(got, right, seen)
    stop_if(not torch.equal(model[0].running_mean, statistics),
            "The model's running statistics have changed: it ran in training mode.")
    stop_if(not model.training,
            "The model was in training mode before, and is in evaluation mode now.")
    model.eval()
    again = call(answer, model, images.clone(), 100)
    stop_if(model.training,
            "The model was in evaluation mode before, and is in training mode now: remember "
            "model.training, and restore what it was.")
    _check_rows(again, right, seen)


_embedding = Exercise("03.2 embeddings, carefully", "take_embeddings(model, images, batch_size=32)",
    check=_check_embedding, sample=(None, [[0.0]], 1))


def _watched_model() -> tuple[nn.Module, list[tuple[int, bool, bool]]]:
    """Return a model with both kinds of layers that eval() changes, and what it is given."""
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 4))
    with torch.no_grad():
        for parameter in model[3].parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        model[0].running_mean.copy_(torch.tensor([0.5, -1.0]))
    seen: list[tuple[int, bool, bool]] = []
    model.register_forward_pre_hook(
        lambda module, x: seen.append((len(x[0]), module.training, torch.is_grad_enabled()))
    )
    return model, seen


def _check_passes(seen: list[tuple[int, bool, bool]]) -> None:
    """Say what is wrong with how the model was run on 7 images, 3 at a time."""
    stop_if(not seen, "The model was not called.")
    sizes, trained, with_grad = zip(*seen, strict=True)
    stop_if(any(trained),
            "The model ran in training mode, so dropout and batch normalization make a row "
            "depend on chance and on the other images: model.eval() first.")
    stop_if(max(sizes) > 3,
            f"With batch_size=3 the model was given {max(sizes)} images at once.")
    stop_if(any(with_grad),
            "The model ran with gradients on, which keeps the activations: use "
            "torch.inference_mode() or torch.no_grad().")
    stop_if(sum(sizes) < 7, f"Only {sum(sizes)} of 7 images went through the model: "
            "is the last batch left out?")


def _check_rows(got: object, right: Tensor, seen: list[tuple[int, bool, bool]]) -> None:
    """Say what is wrong with the tensor that came back."""
    stop_if(not isinstance(got, Tensor),
            f"It returned {type(got).__name__}. Join the batches: torch.cat(...).")
    stop_if(got.requires_grad,
            "The result has a history, which keeps memory: gradients were on.")
    stop_if(got.shape != right.shape,
            f"7 images with embeddings of 4 numbers make the shape (7, 4), and "
            f"{tuple(got.shape)} came back from batches of {[size for size, *_ in seen]}.")
    if not torch.allclose(got, right, atol=1e-5):
        same = torch.allclose(got.sort(0).values, right.sort(0).values, atol=1e-5)
        words = "in another order" if same else "other numbers"
        stop_if(True, f"The rows are {words} than what the model makes of the images one by one.")
