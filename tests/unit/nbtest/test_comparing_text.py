"""Texts: what agrees, what does not, what is set aside, and what the message says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.nbtest.directives import Directives
from coursekit.nbtest.numbers import tokenize
from coursekit.nbtest.text import compare_text, scrub


def agree(stored, fresh, **said):
    return compare_text(stored, fresh, Directives(**said)) is None


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("loss 0.12345698645", "loss 0.1234569734"),
        ("0.69315", "0.69316"),
        ("-1.5e-05", "-1.50001E-5"),
        ("accuracy: 98.501%", "accuracy: 98.502%"),
        ("12,345.67 a", "12,345.9 a"),
        ("1e-12", "-3e-13"),
        ("-0.0", "0.0"),
        ("array([1.  , 2.5 ])", "array([1.00004, 2.5    ])"),
        ("tensor([[1., 2.],\n        [3., 4.]])", "tensor([[1., 2.], [3., 4.00001]])"),
        ("[1 2\n 3]", "[1 2 3]"),
        ("[0. 1. 2.]", "[0.    1.    2.0001]"),
        ("{'a': [1, 2.0],\n 'b': (3.5,)}", "{'a': [1, 2.00001], 'b': (3.5,)}"),
        ("   a     b\n0  1.5  2.25", "         a        b\n0  1.50001  2.25"),
        ("(1+2.00001j)", "(1+2j)".replace("2j", "2.0j")),
        ("line \nnext", "line\nnext\n"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_the_same_numbers_agree_however_they_are_laid_out(stored, fresh):
    assert agree(stored, fresh)
    assert agree(fresh, stored)


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("loss 0.69315", "loss 0.69331"),
        ("0.98", "0.97"),
        ("0.98", "0.99"),
        ("0.5", "-0.5"),
        ("0.1", "nan"),
        ("inf", "-inf"),
        ("1e-7", "2e-7"),
        ("11,689,512 parameters", "11,689,513 parameters"),
        ("found 5.", "found 6."),
        ("n = 100000.", "n = 100001."),
        ("5", "5.0"),
        ("[100,200.25]", "[100,209.00]"),
        ("-3", "3"),
        ("(3, 4)", "(4, 3)"),
        ("[1, 2, 3]", "[1, 3, 2]"),
        ("[1, 2]", "[1, 2, 3]"),
        ("[1, 2]", "(1, 2)"),
        ("cat dog", "dog cat"),
        ("resnet18", "resnet34"),
        ("2.15.0", "2.15.1"),
        ("2025-11-21", "2025-11-22"),
        ("took 3 s", "took 4 s"),
        ("41 MiB", "42 MiB"),
        ("a\nb", "a b"),
        ("0x1f", "0x2f"),
        ("a", "a\nb"),
        ("a 1", "a"),
        ("12e999", "13e999"),
    ],
)
def test_what_a_reader_would_see_differs(stored, fresh):
    assert not agree(stored, fresh)
    assert not agree(fresh, stored)


@pytest.mark.parametrize(
    ("stored", "fresh", "is_alike"),
    [
        # Half a unit of the last digit is within the tolerance: rounding may tip.
        ("0.6931", "0.6932", True),
        ("0.6931", "0.6933", False),
        ("1.0007", "1.0008", True),
        # It is not: the last digit is what the reader is told.
        ("0.98", "0.981", False),
        ("0.1234", "0.1235", False),
        ("28.5%", "28.6%", False),
        ("[1. 2.]", "[1. 3.]", False),
    ],
)
def test_printed_digits_count_unless_rounding_is_finer_than_the_tolerance(
    stored, fresh, is_alike
):
    assert agree(stored, fresh) is is_alike
    assert agree(fresh, stored) is is_alike


@pytest.mark.parametrize("rtol", [1e-6, 1e-4, 1e-2, 5e-2])
def test_no_number_is_accepted_beyond_twice_the_tolerance(rtol):
    for stored in np.linspace(0.1, 9.9, 50):
        for n_digits in range(1, 9):
            for step in np.geomspace(2.01, 100, 10) * rtol * stored:
                before, after = f"{stored:.{n_digits}f}", f"{stored + step:.{n_digits}f}"
                gap = abs(float(after) - float(before))
                if gap > 2.001 * rtol * float(before):
                    assert not agree(before, after, rtol=rtol)


def test_a_cell_raises_its_own_tolerance():
    assert agree("1.0007", "1.0003", rtol=1e-3)
    assert agree("0.98", "0.97", atol=0.02)
    assert not agree("0.98", "0.95", atol=0.02)
    assert agree("391 of 400", "394 of 400", counts=4)
    assert not agree("391 of 400", "396 of 400", counts=4)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    st.sampled_from([3, 4, 8]),
    st.integers(20, 120),
)
@settings(max_examples=60, deadline=None)
def test_an_array_agrees_with_itself_at_any_width_and_with_noise(values, precision, width):
    array = np.array(values)
    noisy = array * (1 + 1e-12)
    with np.printoptions(precision=precision, linewidth=75):
        stored = repr(array)
    with np.printoptions(precision=precision, linewidth=width):
        fresh = repr(noisy)
    assert agree(stored, fresh, rtol=1e-3, atol=2 * 10.0**-precision)


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=20),
    st.integers(0, 19),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_one_changed_integer_in_an_array_is_seen(values, place, data):
    changed = list(values)
    place %= len(values)
    changed[place] += data.draw(st.sampled_from([-1, 1, 10]))
    assert not agree(repr(np.array(values)), repr(np.array(changed)))


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_agrees_with_itself_and_is_cut_without_loss(text):
    assert agree(text, text + "")
    kept = "".join(token.text for token in tokenize(text))
    assert "".join(kept.split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("<__main__.A at 0x7f3c1c0d5e80>", "<__main__.A at 0x10ab3c2d0>"),
        ("<function f at 0x7f3c1c0d5e80>", "<function f at 0x000001F2AB3C4D5E>"),
        ("[<Line2D at 0x7f3c1c0d5e80>]", "[<Line2D at 0x7f3c1c0d5e81>]"),
        ("worker pid=1234", "worker pid=77"),
        ("{'pid': 1234}", "{'pid': 5}"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;https://a.b\x07link\x1b]8;;\x07", "link"),
        ("/tmp/tmpab12cd34/net.pt", "/var/folders/x1/y_2/T/tmpzz99yy88/net.pt"),
        ("/tmp/tmpab12cd34/net.pt", "/scratch/me/tmpzz99yy88/net.pt"),
        ("/tmp/run-ab12cd34/x", "/tmp/run-zz99yy88/x"),
        ("'/tmp/data.csv'", "'/private/tmp/data.csv'"),
        (
            "/tmp/ipykernel_17821/123456.py:3: UserWarning: careful",
            "/var/folders/x1/y/T/ipykernel_9/77.py:3: UserWarning: careful",
        ),
        (
            "/home/a/venv/lib/python3.11/site-packages/torch/x.py:12: UserWarning: w",
            "/opt/lib/python3.13/site-packages/torch/x.py:40: UserWarning: w",
        ),
        (
            "/usr/lib/python3.11/json/decoder.py:355 in x",
            "/opt/lib/python3.12/json/decoder.py in x",
        ),
    ],
)
def test_what_means_nothing_is_always_set_aside(stored, fresh):
    assert agree(stored, fresh)


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("<A at 0x7f3c1c0d5e80>", "<B at 0x7f3c1c0d5e80>"),
        ("/tmp/tmpab12cd34/net.pt", "/tmp/tmpab12cd34/other.pt"),
        ("/tmp/first", "/tmp/second"),
        (
            "/lib/site-packages/torch/x.py:1: UserWarning: a",
            "/lib/site-packages/torch/x.py:1: UserWarning: b",
        ),
        ("0xff", "0xfe"),
        ("process 3 images", "process 4 images"),
    ],
)
def test_what_stands_around_it_is_still_compared(stored, fresh):
    assert not agree(stored, fresh)


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("took 3 s", "took 12.5 s"),
        ("0.52 ms a step", "1.3e+02 us a step"),
        ("CPU times: user 3 µs, sys: 0 ns, total: 3 µs\nWall time: 5.96 µs",
         "CPU times: user 1.2 s, sys: 10 ms, total: 2 s\nWall time: 1min 2s"),
        ("1.21 ms ± 30.1 µs per loop (mean ± std. dev. of 7 runs, 1,000 loops each)",
         "921 µs ± 3 µs per loop (mean ± std. dev. of 7 runs, 10,000 loops each)"),
        ("1764000000.12", "1795000000.9"),
        ("0.0312", "0.5"),
        ("123.4 images/s", "99 images/s"),
        ("5.1it/s", "88.25it/s"),
        ("elapsed: 0.3", "elapsed: 4.1"),
        ("{'seconds': 0.25, 'epoch': 3}", "{'seconds': 0.5, 'epoch': 3}"),
        ("2025-11-21 18:50:43", "2026-01-02 08:00:00"),
        ("Fri Nov 21 18:50:43 2025", "Mon Jan 5 08:01:00 2026"),
        ("21 Nov 2025", "3 Dec 2026"),
    ],
)  # fmt: skip
def test_times_are_set_aside_when_a_cell_asks(stored, fresh):
    assert agree(stored, fresh, times=True)
    assert not agree(stored, fresh)


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("peak 753.3 MB", "peak 747.6 MB"),
        ("1.5 GiB of 16 GiB", "900 MiB of 32 GiB"),
        ("rss: 123456", "rss: 99"),
        ("12 bytes", "14 bytes"),
    ],
)
def test_sizes_are_set_aside_when_a_cell_asks(stored, fresh):
    assert agree(stored, fresh, memory=True)
    assert not agree(stored, fresh)
    assert not agree(stored, fresh, times=True)


def test_other_numbers_of_such_a_cell_are_still_compared():
    assert not agree("epoch 3: loss 0.5, 2 s", "epoch 4: loss 0.5, 3 s", times=True)
    assert not agree("epoch 3: loss 0.5, 2 s", "epoch 3: loss 0.6, 3 s", times=True)
    assert scrub("epoch 3, 2 s", Directives(times=True)) == "epoch 3, <time>"


def test_the_message_names_the_worst_number_the_tolerance_and_the_lines():
    stored = "epoch 1 loss 0.5\nepoch 2 loss 0.25\nepoch 3 loss 0.125"
    fresh = "epoch 1 loss 0.5\nepoch 2 loss 0.26\nepoch 3 loss 0.150"
    message = compare_text(stored, fresh, Directives(rtol=1e-3)).message
    first, *lines = message.splitlines()
    assert first == (
        "2 of 6 numbers differ; the worst: stored 0.125, fresh 0.150 (relative difference "
        "0.2); allowed rtol=0.001, atol=1e-08."
    )
    assert lines == [
        "- epoch 2 loss 0.25",
        "+ epoch 2 loss 0.26",
        "- epoch 3 loss 0.125",
        "+ epoch 3 loss 0.150",
    ]


@pytest.mark.parametrize(
    ("stored", "fresh", "words"),
    [
        ("a cat", "a dog", "stored 'cat', fresh 'dog'"),
        ("a", "a b", "'b' is new"),
        ("a b", "a", "'b' is missing"),
        ("n 5", "n 5.0", "Stored 5, an integer; fresh 5.0, a decimal number"),
        ("3 of 4", "2 of 4", "integers must be equal"),
    ],
)
def test_the_message_says_where_texts_begin_to_differ(stored, fresh, words):
    assert words in compare_text(stored, fresh, Directives()).message


def test_a_long_difference_is_cut():
    stored, fresh = ("\n".join(f"{word} {n}" for n in range(500)) for word in ("a", "b"))
    message = compare_text(stored, fresh, Directives()).message
    assert len(message.splitlines()) < 30
    assert "more lines" in message
