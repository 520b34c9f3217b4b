"""The exercises of lesson 02, CNN architectures.

Nothing here knows how an answer is reported; the solutions stand in
``notebooks/solutions``.
"""

from typing import TYPE_CHECKING

from coursekit.course.exercises.batch_norm import check_batch_norm
from coursekit.course.exercises.checking import Case, Exercise, check_cases

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXERCISES"]


def _check_top_k_error(answer: object) -> str | None:
    import torch  # slow to import

    logits = torch.tensor(
        [
            [4.0, 1.0, 2.0, 3.0],
            [1.0, 3.0, 4.0, 2.0],
            [2.0, 1.0, 3.0, 9.0],
            [1.0, 4.0, 3.0, 2.0],
        ]
    )
    labels = torch.tensor([3, 2, 1, 0])  # ranks 2, 1, 4, 4
    one, two = (logits[:1], labels[:1]), (logits[:2], labels[:2])
    cases = [
        Case((*one, 1), 1.0, "The only label is not the one with the largest logit."),
        Case((*one, 2), 0.0, "The only label has the second largest logit of its image."),
        Case((*two, 1), 0.5, "One image of two is wrong."),
        Case((logits, labels, 2), 0.5, "A label is found if it is among the k largest."),
        Case((logits, labels, 3), 0.5, "The other two labels have the smallest logits."),
        Case((logits, labels, 4), 0.0, "Among all classes every label is found."),
        Case(
            (logits - 10, labels, 1),
            0.75,
            "Logits may be negative: only their order counts.",
        ),
    ]
    mistakes = {
        "That is the share that is right. An error counts the others.": (
            lambda x, y, k: 1 - _top_k_error(x, y, k)
        ),
        "That is in percent. Here an error is a share, between 0 and 1.": (
            lambda x, y, k: 100 * _top_k_error(x, y, k)
        ),
        "That is a number of images. Divide by how many there are.": (
            lambda x, y, k: len(y) * _top_k_error(x, y, k)
        ),
        "An image has one label, so at most one of its k guesses can be right: average over "
        "the images.": lambda x, y, k: 1 - (1 - _top_k_error(x, y, k)) / k,
        "k is not used yet: a label is found if it is among the k largest.": (
            lambda x, y, k: _top_k_error(x, y, 1)  # noqa: ARG005
        ),
        "Those are the k smallest logits of an image. Which are the best guesses?": (
            lambda x, y, k: _top_k_error(-x, y, k)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_stacked_kernels(answer: object) -> str | None:
    uneven = "No whole number of these layers sees exactly that: raise ValueError there."
    cases = [
        Case((3, 1, 3), (1, 9), "One 3x3 layer sees 3 x 3 pixels and has nine weights."),
        Case((5, 1, 3), (2, 18), "How many pixels does each layer add to the field?"),
        Case((7, 1, 3), (3, 27), "One 7x7 kernel has 49 weights: how many have three 3x3?"),
        Case((5, 2, 3), (2, 72), "Each filter reads every channel: C in and C out."),
        Case((9, 1, 5), (2, 50), "The kernel of the stack need not be 3x3."),
        Case((11, 64, 3), (5, 184320), "Everything at once."),
        Case((4, 1, 3), ValueError, uneven),
        Case((7, 1, 5), ValueError, uneven),
    ]
    mistakes = {
        "Neighboring windows overlap: the first layer sees its kernel, each other layer adds "
        "less than that.": lambda f, c, k: (_up(f, k), _up(f, k) * k * k * c * c),
        "Each filter reads every channel, and there are as many filters as channels.": (
            lambda f, c, k: ((f - 1) // (k - 1), (f - 1) // (k - 1) * k * k * c)
        ),
        "Those are the weights of one layer. How many layers are there?": (
            lambda f, c, k: ((f - 1) // (k - 1), k * k * c * c)
        ),
        "Those are the weights of one large kernel. Count those of the stack.": (
            lambda f, c, k: ((f - 1) // (k - 1), f * f * c * c)
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_inception_size(answer: object) -> str | None:
    cases = [
        Case(
            (1, 1, (1, 1), (1, 1), 1), (4, 38), "One filter everywhere: four maps come out."
        ),
        Case(
            (1, 2, (3, 4), (5, 6), 7),
            (19, 875),
            "What is joined at the end of the branches?",
        ),
        Case((8, 2, (3, 4), (5, 6), 7), (19, 994), "Which layers read what comes in?"),
        Case(
            (192, 64, (96, 128), (16, 32), 32),
            (256, 163328),
            "Inception (3a) of GoogLeNet.",
        ),
    ]
    mistakes = {
        "The reductions are read by the next layer only; they do not leave the module.": (
            lambda i, a, b, c, p: (
                a + sum(b) + sum(c) + p,
                _inception_weights(i, a, b, c, p),
            )
        ),
        "After the 1x1 reduction, how many channels does the large kernel read?": (
            lambda i, a, b, c, p: (
                a + b[1] + c[1] + p,
                i * (a + b[0] + 9 * b[1] + c[0] + 25 * c[1] + p),
            )
        ),
        "The pooling has no weights, but the 1x1 convolution after it does.": (
            lambda i, a, b, c, p: (a + b[1] + c[1] + p, _inception_weights(i, a, b, c, 0))
        ),
        "The 1x1 reductions have weights too.": (
            lambda i, a, b, c, p: (
                a + b[1] + c[1] + p,
                i * (a + p) + 9 * b[0] * b[1] + 25 * c[0] * c[1],
            )
        ),
        "The pooled branch is joined as well.": (
            lambda i, a, b, c, p: (a + b[1] + c[1], _inception_weights(i, a, b, c, p))
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _check_separable_savings(answer: object) -> str | None:
    cases = [
        Case(
            (1, 1, 3), 10 / 9, "Nine for the depthwise part, one for the 1x1, against nine."
        ),
        Case((2, 1, 3), 20 / 18, "Both parts read both channels."),
        Case((1, 2, 3), 11 / 18, "The depthwise part is done once, however many come out."),
        Case((64, 64, 3), 1 / 64 + 1 / 9, "As in a middle layer of MobileNet."),
        Case((32, 64, 5), 1 / 64 + 1 / 25, "With a larger kernel it saves more."),
        Case((16, 8, 1), 1.125, "With a 1x1 kernel there is nothing to save."),
    ]
    mistakes = {
        "That is how many times more the standard one takes. Turn the fraction over.": (
            lambda i, o, k: 1 / (1 / o + 1 / k**2)  # noqa: ARG005
        ),
        "That is what is saved. Asked is what is left of the work.": (
            lambda i, o, k: 1 - (1 / o + 1 / k**2)  # noqa: ARG005
        ),
        "The 1x1 convolution after the depthwise one has to be paid too.": (
            lambda i, o, k: 1 / o  # noqa: ARG005
        ),
        "The depthwise convolution before the 1x1 one has to be paid too.": (
            lambda i, o, k: 1 / k**2  # noqa: ARG005
        ),
        "Which number of channels cancels, the one that comes in or the one that goes out?": (
            lambda i, o, k: 1 / i + 1 / k**2  # noqa: ARG005
        ),
    }
    return check_cases(answer, cases, mistakes=mistakes)


def _top_k_error(logits: "Tensor", labels: "Tensor", k: int) -> float:
    found = (logits.topk(k).indices == labels[:, None]).any(dim=1)
    return 1 - found.double().mean().item()


def _up(field: int, kernel: int) -> int:
    """Return the layers needed if each saw only new pixels."""
    return -(-field // kernel)


def _inception_weights(
    n_in: int, n_1x1: int, n_3x3: tuple[int, int], n_5x5: tuple[int, int], n_pool: int
) -> int:
    read = n_in * (n_1x1 + n_3x3[0] + n_5x5[0] + n_pool)
    return read + 9 * n_3x3[0] * n_3x3[1] + 25 * n_5x5[0] * n_5x5[1]


_EXERCISES = (
    Exercise(
        name="02.1 top-k error",
        starter="def top_k_error(logits, labels, k):\n    ...",
        check=_check_top_k_error,
        sample=([[0.0, 1.0]], [0], 1),
    ),
    Exercise(
        name="02.2 stacked kernels",
        starter="def stacked_kernels(field, channels, kernel=3):\n    ...",
        check=_check_stacked_kernels,
        sample=(3, 1, 3),
    ),
    Exercise(
        name="02.3 inception channels",
        starter="def inception_size(in_channels, n_1x1, n_3x3, n_5x5, n_pool):\n    ...",
        check=_check_inception_size,
        sample=(1, 1, (1, 1), (1, 1), 1),
    ),
    Exercise(
        name="02.4 batch normalization",
        starter="def batch_norm(x, gamma, beta, eps=1e-5):\n    ...",
        check=check_batch_norm,
        sample=([[[[0.0]]]], [1.0], [0.0]),
    ),
    Exercise(
        name="02.5 separable savings",
        starter="def separable_share(in_channels, out_channels, kernel):\n    ...",
        check=_check_separable_savings,
        sample=(1, 1, 3),
    ),
)

EXERCISES = {exercise.number: exercise for exercise in _EXERCISES}
"""By number."""
