"""HTML: tables by value, random identifiers set aside, other elements told."""

import pandas as pd
import pytest

from coursekit.nbtest.directives import Directives
from coursekit.nbtest.html import compare_html, has_table


def table(**columns):
    return pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.5, 0.25, 0.125]} | columns)


def compare(stored, fresh, **said):
    return compare_html(stored.to_html(), fresh.to_html(), Directives(**said))


def test_numbers_of_a_table_agree_within_the_tolerance_and_integers_are_equal():
    assert compare(table(), table(loss=[0.50001, 0.25, 0.125])) is None
    message = compare(table(), table(loss=[0.5, 0.25, 0.13])).message
    assert message.startswith(
        "Table, row '2', column 'loss': 1 of 1 numbers differs: stored 0.125"
    )
    assert "column 'epoch'" in compare(table(), table(epoch=[1, 2, 4])).message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:2], "stored 4 rows x 3 columns; fresh 3 rows x 3 columns"),
        (lambda t: t.drop(columns="loss"), "fresh 4 rows x 2 columns"),
        (lambda t: t.rename(columns={"loss": "error"}), "stored 'loss', fresh 'error'"),
        (lambda t: t[["loss", "epoch"]], "stored 'epoch', fresh 'loss'"),
        (lambda t: t.iloc[::-1], "Table, row '0', column 1"),
        (lambda t: t.rename(index={0: "first"}), "'first'"),
    ],
)
def test_a_changed_table_is_told(change, words):
    assert words in compare(table(), change(table())).message


def test_columns_and_rows_of_times_are_set_aside_on_request():
    stored, fresh = table(seconds=[1.5, 1.2, 1.1]), table(seconds=[9.5, 0.2, 3.3])
    assert compare(stored, fresh) is not None
    assert compare(stored, fresh, times=True) is None
    assert compare(stored, fresh, memory=True) is not None
    assert compare(stored.T, fresh.T, times=True) is None
    changed = fresh.assign(loss=[0.5, 0.25, 0.2])
    assert "column 'loss'" in compare(stored, changed, times=True).message


def test_columns_of_sizes_are_set_aside_on_request():
    stored, fresh = table(peak_MiB=[1, 2, 3]), table(peak_MiB=[4, 5, 6])
    assert compare(stored, fresh, memory=True) is None
    assert compare(stored, fresh, times=True) is not None


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ('<p id="T_5c1f3">a</p>', '<p id="T_99aa0">a</p>'),
        ("<style>#T_5c1f3_row0 {color: red}</style>", "<style>#T_99aa0_row0 {color: red}</style>"),
        ('<div id="sk-container-id-1">a</div>', '<div id="sk-container-id-4">a</div>'),
        ("<script>f('123e4567-e89b-12d3-a456-426614174000')</script>",
         "<script>f('00004567-e89b-12d3-a456-426614174999')</script>"),
        ("<b>a</b>  <i>b</i>", "<b>a</b>\n<i>b</i>"),
        ('<svg><metadata>2025</metadata><path d="M 1.5 2" clip-path="url(#p1)"/></svg>',
         '<svg><metadata>2026</metadata><path d="M 1.50001 2" clip-path="url(#p2)"/></svg>'),
        ('<td style="width: 10.00001%">1</td>', '<td style="width: 10.0%">1</td>'),
    ],
)  # fmt: skip
def test_what_libraries_draw_at_random_is_set_aside(stored, fresh):
    assert compare_html(stored, fresh, Directives()) is None


@pytest.mark.parametrize(
    ("stored", "fresh", "words"),
    [
        ("<b>0.5</b>", "<i>0.5</i>", "stored <b>, fresh <i>"),
        ("<b>a</b>", "<b>a</b><i>b</i>", "<i> is new"),
        ("<b>a</b><i>b</i>", "<b>a</b>", "<i> is missing"),
        ('<img src="a.png">', '<img src="b.png">', "stored 'a', fresh 'b'"),
        ("<p>one</p>", "<p>two</p>", "stored 'one', fresh 'two'"),
        ('<i style="color: red">1</i>', '<i style="color: blue">1</i>', "'red'"),
        ("<table><tr><td>1</td></tr></table>", "<p>1</p>", "fresh no table"),
    ],
)
def test_what_a_reader_would_see_is_told(stored, fresh, words):
    assert words in compare_html(stored, fresh, Directives()).message


def test_the_styled_table_of_pandas_agrees_with_itself_made_again():
    pytest.importorskip("jinja2")
    one, two = (table().style.format("{:.3f}").to_html() for _ in range(2))
    assert one != two
    assert compare_html(one, two, Directives()) is None


def test_many_differences_are_cut():
    stored, fresh = (pd.DataFrame({"n": range(start, start + 99)}) for start in (0, 100))
    message = compare(stored, fresh).message
    assert "and 91 more places" in message


def test_a_table_is_seen():
    assert has_table(table().to_html())
    assert not has_table("<b>tables</b>")
