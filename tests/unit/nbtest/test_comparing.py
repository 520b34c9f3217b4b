"""What agrees with a stored output and what does not, with and without measured ranges."""

import base64
import io

import numpy as np
import pytest
from nbformat import NotebookNode
from PIL import Image

from coursekit import figures
from coursekit.errors import NotebookError
from coursekit.nbtest.cells import read_measured, read_rules
from coursekit.nbtest.compare import Measured, compare_cell
from coursekit.nbtest.shown import FIGURE_MIME, text_part


def printed(text, name="stdout"):
    return [{"output_type": "stream", "name": name, "text": text}]


def shown(**data):
    data = {mime.replace("_", "/", 1): content for mime, content in data.items()}
    return [{"output_type": "display_data", "data": data}]


def drawn(figure):
    data, _ = figure._repr_mimebundle_()
    png = data["image/png"]
    return [{"output_type": "display_data", "data": data | {"image/png": png}}]


KNOWN = Measured(is_known=True)


@pytest.mark.parametrize(
    ("stored", "fresh", "measured", "agrees"),
    [
        # never measured: one part in ten thousand, and what rounding hides
        ("loss 0.6931", "loss 0.6932", Measured(), True),
        ("loss 0.6931", "loss 0.6933", Measured(), False),
        ("accuracy 0.98", "accuracy 0.97", Measured(), False),
        ("5 of 6", "4 of 6", Measured(), False),
        # measured, and never moved: as printed
        ("loss 0.6931", "loss 0.6932", KNOWN, False),
        ("loss 0.6931", "loss  0.6931\n", KNOWN, True),
        # measured between .70 and .73: as far again on both sides, and no further
        ("accuracy 0.71", "accuracy 0.76", Measured(True, ranges={0: (-0.01, 0.02)}), True),
        ("accuracy 0.71", "accuracy 0.77", Measured(True, ranges={0: (-0.01, 0.02)}), False),
        ("accuracy 0.71", "accuracy 0.67", Measured(True, ranges={0: (-0.01, 0.02)}), True),
        ("accuracy 0.71", "accuracy 0.66", Measured(True, ranges={0: (-0.01, 0.02)}), False),
        ("accuracy 0.71", "accuracy 0.78", Measured(True, False, {0: (-0.01, 0.02)}, widen=2), True),
        # a cell that trains: a unit of the last digit, and two of the items
        ("loss 1.3104", "loss 1.3105", Measured(True, trains=True), True),
        ("loss 1.3104", "loss 1.3106", Measured(True, trains=True), False),
        ("accuracy 0.710", "accuracy 0.714", Measured(True, trains=True, items=500), True),
        ("accuracy 0.710", "accuracy 0.715", Measured(True, trains=True, items=500), False),
        ("71.0 % right", "71.4 % right", Measured(True, trains=True, items=500), True),
        ("71.0 % right", "71.5 % right", Measured(True, trains=True, items=500), False),
        ("71 right", "73 right", Measured(True, trains=True), True),
        ("71 right", "74 right", Measured(True, trains=True), False),
        # set aside
        ("took 1.5 s, loss 0.5", "took 900 ms, loss 0.5", Measured(True, costs=True), True),
        ("took 1.5 s, loss 0.5", "took 1.5 s, loss 0.6", Measured(True, costs=True), False),
        ("took 1.5 s", "took 1.6 s", KNOWN, False),
        ("took 1.5", "took 9.5", Measured(True, ranges={0: None}), True),
        # words
        ("CNN 0.9", "MLP 0.9", Measured(True, trains=True, ranges={0: (-1, 1)}), False),
        ("<A at 0x7f3c1c0d5e80>", "<A at 0x7f3c1c0d5e99>", KNOWN, True),
    ],
)  # fmt: skip
def test_numbers_agree_within_what_was_measured(stored, fresh, measured, agrees):
    assert (
        compare_cell(printed(stored), printed(fresh), measured=measured) == []
    ) is agrees


def test_a_difference_says_value_range_and_excess():
    measured = Measured(True, ranges={0: (-0.01, 0.02)})
    [told] = compare_cell(
        printed("accuracy 0.71"), printed("accuracy 0.81"), measured=measured
    )
    for words in (
        "stored 0.71, fresh 0.81",
        "measured 0.7 to 0.73",
        "0.67 to 0.76",
        "by 0.05",
    ):
        assert words in told
    foreign = Measured(True, ranges={0: (-0.01, 0.02)}, widen=2)
    [told] = compare_cell(
        printed("accuracy 0.71"), printed("accuracy 0.91"), measured=foreign
    )
    assert "another architecture: unproven" in told


def test_the_column_of_a_table_says_what_its_numbers_are():
    table = (
        "         accuracy  seconds\nscratch      0.71      5.1\nhead         0.80      0.8"
    )
    part = text_part(table, "")
    assert [(n.where, n.is_cost) for n in part.numbers] == [
        ("accuracy", False), ("seconds", True), ("accuracy", False), ("seconds", True),
    ]  # fmt: skip
    slower = shown(
        text_plain=table.replace("5.1", "9.9"), text_html="<table><td>9.9</table>"
    )
    before = shown(text_plain=table, text_html="<table><td>5.1</table>")
    assert not compare_cell(before, slower, measured=Measured(True, costs=True))
    assert "column 'seconds'" in compare_cell(before, slower, measured=KNOWN)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"up": [1, 2.1]}, "lines 1 'up', y"),
        ({"up": [1, 2], "title": "Down"}, "stored 'Up', fresh 'Down'"),
        ({"down": [1, 2]}, "stored 'up', fresh 'down'"),
        ({"up": [1, 2], "more": [2, 3]}, "number of lines"),
    ],
)
def test_a_figure_is_compared_by_its_record(change, words, tmp_path):
    def plot(title="Up", **lines):
        curves = {name: ([0, 1], y) for name, y in lines.items()}
        return drawn(figures.plot_curves(curves, x_label="x", y_label="y", title=title))

    told = compare_cell(plot(up=[1, 2]), plot(**change), picture=tmp_path / "a b.png")
    assert words in "\n".join(told)
    with Image.open(tmp_path / "a-b.png") as sheet:
        assert sheet.width > 2000  # side by side
    other_pixels = plot(up=[1, 2])
    other_pixels[0]["data"]["image/png"] = plot(up=[2, 1])[0]["data"]["image/png"]
    assert not compare_cell(plot(up=[1, 2]), other_pixels)


def test_numbers_of_a_figure_have_ranges_too():
    def bars(height):
        figure = figures.plot_bars({"CNN": height}, y_label="accuracy", title="Bars")
        output = drawn(figure)
        del output[0]["data"][FIGURE_MIME]["axes"][0]["y_limits"]
        return output

    assert compare_cell(bars(0.70), bars(0.71), measured=KNOWN)
    wide = dict.fromkeys(range(40), (-0.01, 0.0))
    assert not compare_cell(bars(0.70), bars(0.71), measured=Measured(True, ranges=wide))
    assert compare_cell(bars(0.70), bars(0.75), measured=Measured(True, ranges=wide))


def test_a_picture_without_a_record_is_compared_by_what_is_seen():
    def png(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "png")
        return shown(image_png=base64.b64encode(stream.getvalue()).decode())

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert not compare_cell(png(noise), png(noise // 2 * 2))
    assert compare_cell(png(noise), png(noise[::-1]))
    assert compare_cell(png(noise), png(noise[:32]))
    assert compare_cell(png(noise), shown(image_png="bm90IGEgcGljdHVyZQ=="))


def test_streams_are_joined_and_progress_bars_are_nothing():
    pieces = [*printed("2 of"), *printed(" 2\n")]
    bar = printed("\r 45%|####5     | 9/20 [00:01<00:02, 5.1it/s]", name="stderr")
    assert not compare_cell(pieces, [*bar, *printed("2 of 2\n")])
    warned = printed("UserWarning: slow", name="stderr")
    [told] = compare_cell(pieces, [*pieces, *warned])
    assert told.startswith("An output is not stored")


def test_words_alone_can_be_compared():
    assert not compare_cell(printed("loss 0.5"), printed("loss 0.9"), words_only=True)
    assert compare_cell(printed("loss 0.5"), printed("gain 0.5"), words_only=True)


def cell(source="1", tags=(), **own):
    metadata = {"tags": list(tags)} | ({"coursekit": own} if own else {})
    return NotebookNode(source=source, metadata=metadata)


def test_a_cell_says_its_rules_in_tags():
    rules = read_rules(cell(tags=["nbtest:costs", "nbval-ignore-output"]))
    assert rules == (False, False, True)
    assert read_rules(cell(tags=["raises-exception"])) == (True, True, False)


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        ("1", "nbtest:cost"),
        ("1", "nbtest costs"),
        ("# nbtest: costs\n1", "setup"),
        ("# NBVAL_SKIP", "setup"),
    ],
)
def test_a_directive_that_is_none_is_told_with_those_that_are(source, tag):
    with pytest.raises(
        NotebookError, match=r"is not a directive. Allowed are the tags nbt"
    ):
        read_rules(cell(source, [tag]))


def test_ranges_are_read_from_metadata():
    own = cell(trains=True, ranges={"0": "-0.01 0.02", "2-4": "-1 1", "5": "any"})
    book = cell(items=100, measured={"runs": 9, "architecture": "abacus"})
    measured = read_measured(own, book, read_rules(own))
    assert measured.ranges == {
        0: (-0.01, 0.02), 2: (-1, 1), 3: (-1, 1), 4: (-1, 1), 5: None,
    }  # fmt: skip
    assert (measured.is_known, measured.trains, measured.items) == (True, True, 100)
    assert measured.widen == 2
    draft = cell(measured={"runs": 1})
    assert not read_measured(own, draft, read_rules(own)).is_known
