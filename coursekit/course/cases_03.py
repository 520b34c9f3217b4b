"""The exercises of lesson 03, features and nearest neighbors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn, tensor
from torch.nn import functional as F

from coursekit.course.checking import Exercise, call, stop_if

# A table: a case is a line, a mistake two, a hint and the function that makes it.
# fmt: off
# ruff: noqa: ARG005

_ZERO, _FLAT, _RAMP = torch.zeros(2, 2), torch.ones(2, 2), torch.arange(4.0).reshape(2, 2)


def _maps(*images: list[Tensor]) -> tuple[Tensor]:
    return (torch.stack([torch.stack(channels) for channels in images]),)


def _is_flat(maps: Tensor) -> Tensor:
    """Whether a channel is one number within an image, (n_images, channels)."""
    return maps.amax((2, 3)) == maps.amin((2, 3))


def _where(chosen: Tensor) -> Tensor:
    return chosen.nonzero().flatten()


_dead_channels = Exercise("03.1 dead filters", "dead_channels(maps)", [
    (_maps([_ZERO, _RAMP]), [0], "A map of zeros alone tells nothing."),
    (_maps([_FLAT, _RAMP]), [0], "The same number everywhere need not be zero."),
    (_maps([_ZERO, _RAMP], [_RAMP, _ZERO]), [],
     "Each of the two answers to one of the images."),
    (_maps([_ZERO, _RAMP], [_FLAT, _RAMP]), [],
     "Channel 0 is flat in each image, but tells the two images apart."),
], {
    "Those are channels that are zero everywhere. Any single number will do.":
        lambda maps: _where((maps == 0).flatten(2).all(2).all(0)),
    "A channel that is flat within each image may still differ between images: look over "
    "images and places together.": lambda maps: _where(_is_flat(maps).all(0)),
    "A channel that is flat in one image may answer to another.":
        lambda maps: _where(_is_flat(maps).any(0)),
})

_EAST = torch.eye(2)[:1]
_BANK = tensor([[5.0, 5.0], [0.0, 2.0], [1.0, 0.2], [-3.0, 0.0]])

_nearest_by_cosine = Exercise("03.3 cosine", "nearest_by_cosine(queries, bank, k)", [
    ((_EAST, torch.eye(2).flip(0), 2), [[1, 0]], "Which one points the same way?"),
    ((_EAST, _BANK, 1), [[2]], "A long vector is not nearer because it is long."),
    ((torch.eye(2), _BANK, 4), [[2, 0, 1, 3], [1, 0, 2, 3]],
     "Each query has a row of its own, and opposite vectors come last."),
], {
    "That is the scalar product. The lengths of the bank's vectors have to go: divide each "
    "vector by its length.": lambda q, b, k: (q @ b.T).topk(k).indices,
    "That is the Euclidean distance, which also looks at lengths.":
        lambda q, b, k: torch.cdist(q, b).topk(k, largest=False).indices,
    "Those are the cosines. Asked are the places in the bank.":
        lambda q, b, k: (F.normalize(q) @ F.normalize(b).T).topk(k).values,
})


_majority = Exercise("03.4 the vote", "majority(labels)", [
    ((tensor([[3, 3, 1]]),), [3], "Class 3 has two of three votes."),
    ((tensor([[1, 3, 3], [0, 0, 2]]),), [3, 0], "Each query has a row of its own."),
    ((tensor([[3, 1, 1, 3]]),), [3], "Two against two: whose first neighbor is nearer?"),
    ((tensor([[4, 0, 1, 1, 0]]),), [0], "Between the two that lead, who comes first?"),
], {
    "That is the class of the nearest neighbor. All k of them vote.":
        lambda labels: labels[:, 0],
    "Where several have equally many votes you take the smallest class number. It should "
    "be the one whose first neighbor is nearer.": lambda labels: labels.mode(1).values,
    "Those are counts of votes. Asked is the class that has them.":
        lambda labels: (labels[:, :, None] == labels[:, None]).sum(2).amax(1),
})


def _hits(found: Tensor, true: Tensor, k: int) -> Tensor:
    return (found[:, :k, None] == true[:, None, :k]).any(2).double()


_share_found = Exercise("03.5 recall", "share_found(found, true, k)", [
    ((tensor([[2, 1]]), tensor([[1, 2]]), 2), 1.0, "All were found, a share of 1, in any order."),
    ((tensor([[1, 9], [8, 9]]), tensor([[1, 2], [3, 4]]), 2), 0.25,
     "One of four was found, over both queries."),
    ((tensor([[1, 5, 2, 6]]), tensor([[1, 2, 5, 3]]), 2), 0.5,
     "Only the first k of both sides count."),
], {
    "A neighbor counts as found wherever it stands among the k: compare the rows as sets.":
        lambda f, t, k: (f[:, :k] == t[:, :k]).double().mean(),
    "That counts queries for which anything was found. Recall counts neighbors.":
        lambda f, t, k: _hits(f, t, k).amax(1).mean(),
    "k is not used yet: cut both sides to their first k.":
        lambda f, t, k: _hits(f, t, f.shape[1]).mean(),
})


def _check_embedding(answer: Callable) -> None:
    seen = []
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 4))
    images = torch.linspace(-1, 1, 7 * 2 * 9).sin().reshape(7, 2, 3, 3)
    right = model.eval()(images)
    model.register_forward_pre_hook(lambda model, x: seen.append(
        (len(x[0]), model.training, torch.is_grad_enabled())))
    for was_training in (True, False):
        model.train(was_training)
        got = call(answer, model, images.clone(), 3)
        stop_if(any(is_training for _, is_training, _ in seen),
                "The model ran in training mode, so dropout and batch normalization make a row "
                "depend on chance and on the other images: model.eval() first.")
        sizes = [size for size, *_ in seen]
        stop_if(max(sizes, default=0) > 3, f"With batch_size=3 it was given batches of {sizes}.")
        stop_if(any(has_grad for *_, has_grad in seen),
                "The model ran with gradients on, which keeps the activations: use "
                "torch.inference_mode() or torch.no_grad().")
        stop_if(not isinstance(got, Tensor), "Return one tensor. Join the batches: torch.cat(...).")
        stop_if(got.shape != right.shape,
                f"7 images with embeddings of 4 numbers make the shape (7, 4), and "
                f"{tuple(got.shape)} came back from batches of {sizes}.")
        stop_if(not torch.allclose(got, right, atol=1e-5),
                "The rows are not what the model makes of the images, in their order.")
        stop_if(model.training != was_training, "The model is in another mode than before: "
                "remember model.training, and restore what it was.")
        seen.clear()


_embedding = Exercise("03.2 embeddings, carefully", "take_embeddings(model, images, batch_size=32)",
    check=_check_embedding)
