"""Streaming statistics: equal to those of all values at once, however they are cut."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.inspection.streams import Stream


def stream_of(*parts):
    stream = Stream()
    for part in parts:
        stream.add(part)
    return stream.statistics()


def truth(values):
    values = values.double().flatten()
    return (
        values.numel(),
        values.mean().item(),
        values.std(correction=0).item(),
        (values == 0).double().mean().item(),
        values.norm().item(),
    )


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 200), min_size=1, max_size=100),
    seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 1.0, -100.0]),
)
def test_parts_give_the_statistics_of_the_whole(sizes, seed, shift):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(sizes) + 1, generator=generator).relu() + shift
    parts = values.split([*sizes, 1])
    found = stream_of(*parts)
    assert found == pytest.approx(truth(values), rel=1e-5, abs=1e-4)


def test_many_values_lose_no_precision():
    values = torch.randn(3_000_000, generator=torch.Generator().manual_seed(0)) + 10
    assert stream_of(values) == pytest.approx(truth(values), rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor([[1, 0], [3, -2]]),
        torch.tensor([True, False]),
        torch.tensor([1.5, 0.0, -2.0], dtype=torch.float64),
        torch.tensor([1.5, 0.0, -2.0], dtype=torch.bfloat16),
        torch.zeros(5),
        torch.ones(4, 3, 2).transpose(0, 2),
    ],
    ids=lambda values: str(values.dtype),
)
def test_every_type_of_numbers_is_taken(values):
    assert stream_of(values) == pytest.approx(truth(values))


def test_large_half_precision_values_do_not_overflow():
    values = torch.full((1000,), 60_000.0, dtype=torch.float16)
    assert stream_of(values).norm == pytest.approx(60_000 * 1000**0.5, rel=1e-3)


def test_complex_values_count_as_pairs():
    found = stream_of(torch.tensor([3 + 4j]))
    assert (found.n_values, found.mean) == (2, 3.5)
    assert found.norm == pytest.approx(5)


def test_without_values_nothing_is_known():
    found = stream_of(torch.empty(0))
    assert found.n_values == 0
    assert found.norm == 0
    assert all(math.isnan(one) for one in found[1:4])


def test_a_value_that_is_not_a_number_is_not_hidden():
    assert math.isnan(stream_of(torch.ones(3), torch.tensor([math.nan])).mean)
