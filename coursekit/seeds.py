"""Seeds: one number in, the same random numbers out, in every process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np
import torch

__all__ = ["derive_seed", "make_generator", "seed_everything", "seeded"]


def derive_seed(*parts: int | str) -> int:
    """Return a seed in ``[0, 2**63)`` that depends on all `parts` and on their order.

    Use it to give every image, epoch or worker a seed of its own: unlike ``seed + index``,
    streams derived from neighboring parts are unrelated. It is the same on every machine.

    Examples
    --------
    >>> derive_seed(0, "epoch", 3) == derive_seed(0, "epoch", 4)
    False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(*parts: int | str) -> torch.Generator:
    """Return a CPU `torch.Generator` seeded by `derive_seed` of `parts`.

    Examples
    --------
    >>> a = torch.randn(2, generator=make_generator(0, "weights"))
    >>> b = torch.randn(2, generator=make_generator(0, "weights"))
    >>> torch.equal(a, b)
    True
    """
    return torch.Generator().manual_seed(derive_seed(*parts))


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices).

    Layers draw their first weights from torch's global generator, so call this right before
    a model is built. Functions of coursekit take a seed of their own and do not need it.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that use the legacy generator
    torch.manual_seed(seed)


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Run a block with torch's global CPU generator seeded, then put it back.

    For code that cannot be handed a generator, such as torchvision's transforms and the
    first weights of a layer. `parts` are those of `derive_seed`.

    Examples
    --------
    >>> with seeded(0, "layer"):
    ...     a = torch.nn.Linear(2, 1)
    >>> with seeded(0, "layer"):
    ...     b = torch.nn.Linear(2, 1)
    >>> torch.equal(a.weight, b.weight)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(*parts))
        yield
