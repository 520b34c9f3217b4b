"""The same seed gives the same numbers, and leaves everybody else's alone."""

import random
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.seeds import derive_seed, make_generator, seed_everything, seeded

PARTS = st.lists(st.integers() | st.text(), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_give_different_seeds(first, second):
    same = [(type(p), p) for p in first] == [(type(p), p) for p in second]
    assert (derive_seed(*first) == derive_seed(*second)) == same


def test_a_derived_seed_is_the_same_in_every_process():
    code = "from coursekit.seeds import derive_seed; print(derive_seed(7, 'epoch', 3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) == derive_seed(7, "epoch", 3)


@given(st.integers(0, 2**40))
def test_a_derived_seed_fits_every_generator(seed):
    assert 0 <= derive_seed(seed) < 2**63
    make_generator(seed)
    np.random.default_rng(derive_seed(seed))


def test_everything_is_seeded():
    def draw():
        seed_everything(3)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


@pytest.mark.parametrize("fails", [False, True])
def test_a_seeded_block_leaves_the_global_generator_as_it_was(fails):
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first = torch.rand(1)
    with suppress(KeyError), seeded(5):
        torch.rand(100)
        if fails:
            {}["no such key"]
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_a_seeded_block_draws_what_its_seed_says():
    def draw(*parts):
        with seeded(*parts):
            return torch.rand(3).tolist()

    assert draw(0, "a") == draw(0, "a") != draw(0, "b")
