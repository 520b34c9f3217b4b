"""Outputs of a cell: which belongs to which, streams, progress bars, errors, kinds."""

from base64 import b64encode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from coursekit.nbtest.directives import Directives
from coursekit.nbtest.outputs import compare_outputs
from coursekit.nbtest.streams import join_streams, merge_streams, without_progress_bars

WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}}


def picture(seed=0, size=(32, 32)):
    stream = BytesIO()
    values = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, format="png")
    return b64encode(stream.getvalue()).decode()


@pytest.fixture
def compare(tmp_path):
    def compare(stored, fresh, *, skip=(), sanitize=str, **said):
        found = compare_outputs(
            stored,
            fresh,
            Directives(**said),
            folder=tmp_path,
            name="a-cell-1",
            skip=skip,
            sanitize=sanitize,
        )
        return [str(difference) for difference in found]

    return compare


@pytest.fixture
def printed(notebooks):
    return notebooks.printed


@pytest.fixture
def value(notebooks):
    return notebooks.value


def test_pieces_of_a_stream_are_joined_wherever_they_stand(compare, printed, value):
    stored = [printed("a\n"), printed("e\n", "stderr"), value("1"), printed("b\n")]
    fresh = [printed("e\n", "stderr"), printed("a\nb\n"), value("1")]
    assert compare(stored, fresh) == []


def test_carriage_returns_and_backspaces_have_done_their_work(compare, printed):
    assert join_streams([printed("1%\r50%\r100%\nab\x08c")]) == {"stdout": "100%\nac"}
    assert compare([printed("1%\r9%\rdone\n")], [printed("done\n")]) == []


def test_streams_are_merged_with_stdout_above_stderr(printed, value):
    outputs = [printed("e", "stderr"), printed("a"), value("1"), printed("b")]
    merged = merge_streams(outputs)
    assert [out.get("text", "value") for out in merged] == ["ab", "e", "value"]


@pytest.mark.parametrize(
    "bar",
    [
        "100%|##########| 20/20 [00:00<00:00, 96.02it/s]\n",
        "Epoch 3:  45%|####5     | 9/20 [00:01<00:02, 5.1it/s, loss=0.53]\n",
        "  0%|          | 0/20 [00:00<?, ?it/s]\r100%|█████| 20/20 [00:02<00:00,  9.5it/s]\n",
        "9it [00:01, 5.10it/s]\n",
        " 50%|█████     | 44.7M/89.4M [00:00<00:01, 101MB/s]\n",
        "outer: 100%|###| 2/2 [00:00<00:00]\n\x1b[Ainner: 50%|#| 1/2 [00:00<00:00, 1it/s]\n",
    ],
)
def test_progress_bars_on_stderr_are_ignored(compare, printed, bar):
    assert without_progress_bars(join_streams([printed(bar)])["stdout"]) == ""
    assert (
        compare([printed(bar, "stderr")], [printed(bar.replace("0", "1"), "stderr")]) == []
    )
    assert compare([printed(bar, "stderr")], []) == []
    assert compare([], [printed(bar, "stderr")]) == []


def test_a_progress_bar_on_stdout_is_what_is_printed(compare, printed):
    bar = "100%|####| 20/20 [00:00<00:00, 96.02it/s]\n"
    assert compare([printed(bar)], [])


def test_a_warning_is_a_difference_that_shows_it_also_behind_a_bar(compare, printed):
    bar = "  0%|          | 0/20 [00:00<?, ?it/s]"
    warning = "/tmp/ipykernel_1/2.py:1: UserWarning: be careful\n  warn()\n"
    (message,) = compare([printed(bar, "stderr")], [printed(bar + warning, "stderr")])
    assert message.startswith("In what is written to stderr: nothing is stored for it")
    assert "UserWarning: be careful" in message
    assert compare([printed(warning, "stderr")], [printed(warning, "stderr")]) == []
    assert "it is missing" in compare([printed(warning, "stderr")], [])[0]


@pytest.mark.parametrize(
    "text",
    [
        "  0%|          | 0/20 [00:00<?, ?it/s]",
        "Epoch 1:   0%|          | 0/20 [00:00<?, ?it/s]",
        "HBox(children=(HTML(value=''), FloatProgress(value=0.0, max=20.0), HTML(value='')))",
        "0it [00:00, ?it/s]",
    ],
)
def test_widgets_that_show_progress_are_ignored(compare, notebooks, text):
    bar = notebooks.shown({"text/plain": text, **WIDGET})
    assert compare([bar], []) == []
    assert compare([], [bar]) == []


def test_the_text_of_other_widgets_is_compared_and_their_models_are_not(compare, notebooks):
    def slider(value, model):
        widget = {"application/vnd.jupyter.widget-view+json": {"model_id": model}}
        return notebooks.shown({"text/plain": f"IntSlider(value={value})", **widget})

    assert compare([slider(3, "a")], [slider(3, "b")]) == []
    assert "stored 3, fresh 4" in compare([slider(3, "a")], [slider(4, "a")])[0]


def test_a_missing_and_an_extra_output_are_described(compare, value):
    assert compare([value("1"), value("22")], [value("1")]) == ["An output is missing: 22."]
    (message,) = compare([], [value("Figure", image_png=picture())])
    assert message == "An output is not stored: Figure (image/png)."


def test_the_order_of_outputs_counts(compare, value):
    assert len(compare([value("1"), value("2")], [value("2"), value("1")])) == 2


def test_a_kind_that_comes_or_goes_is_told(compare, value):
    assert compare([value("1", text_html="<b>1</b>")], [value("1")]) == [
        "The output has no text/html any more."
    ]
    (message,) = compare([value("1")], [value("1", text_html="<b>1</b>")])
    assert message == "The output has text/html, which is not stored."


def test_a_result_and_a_display_of_the_same_are_the_same(compare, notebooks, value):
    assert compare([value("1")], [notebooks.shown({"text/plain": "1"})]) == []


def test_pictures_are_compared_by_what_is_seen_with_the_cells_threshold(
    compare, value, tmp_path
):
    stored, fresh = value("F", image_png=picture(0)), value("F", image_png=picture(1))
    assert compare([stored], [stored]) == []
    (message,) = compare([stored], [fresh])
    assert "The pictures differ by" in message
    assert (tmp_path / "a-cell-1.png").exists()
    assert str(tmp_path / "a-cell-1.png") in message
    assert compare([stored], [fresh], image_rms=1) == []


def test_what_is_no_picture_is_told(compare, value):
    assert (
        "cannot be read" in compare([value(image_png="AAAA")], [value(image_png="BBBB")])[0]
    )


def test_errors_are_compared_by_kind_and_words(compare, notebooks, value):
    def error(ename, evalue):
        return notebooks.error(ename, evalue)

    assert compare([error("ValueError", "got 3")], [error("ValueError", "got 3")]) == []
    assert (
        "stored 3, fresh 4"
        in compare([error("ValueError", "got 3")], [error("ValueError", "got 4")])[0]
    )
    assert (
        "Another error" in compare([error("ValueError", "a")], [error("KeyError", "a")])[0]
    )
    assert (
        "Stored is the error ValueError: a, fresh is 1"
        in compare([error("ValueError", "a")], [value("1")])[0]
    )


def test_json_latex_and_markdown_are_compared_with_tolerance(compare, notebooks):
    def shown(mime, content):
        return [notebooks.shown({mime: content})]

    for mime, make in (
        ("application/json", lambda x: {"loss": x, "n": 3}),
        ("text/latex", lambda x: rf"$\alpha = {x}$"),
        ("text/markdown", lambda x: f"**{x}**"),
        ("application/vnd.other+json", lambda x: {"data": [{"y": [x]}]}),
    ):
        assert compare(shown(mime, make(0.5)), shown(mime, make(0.50001))) == []
        assert compare(shown(mime, make(0.5)), shown(mime, make(0.6)))


def test_what_is_skipped_is_not_compared(compare, printed, value):
    stored = [
        printed("e", "stderr"),
        value("1", text_html="<b>1</b>", image_png=picture(0)),
    ]
    fresh = [printed("f", "stderr"), value("1", text_html="<b>2</b>", image_png=picture(1))]
    assert len(compare(stored, fresh)) == 3
    assert compare(stored, fresh, skip=("stderr", "text/html", "image/png")) == []


def test_texts_are_sanitized_on_both_sides(compare, printed, value):
    stored = [printed("at noon"), value("noon", text_html="<b>noon</b>")]
    fresh = [printed("at midnight"), value("midnight", text_html="<b>midnight</b>")]

    def sanitize(text):
        return text.replace("noon", "X").replace("midnight", "X")

    assert compare(stored, fresh, sanitize=sanitize) == []


def test_a_table_with_times_is_compared_by_its_cells_alone(compare, value):
    def table(seconds):
        html = f"<table><tr><th>seconds</th></tr><tr><td>{seconds}</td></tr></table>"
        return [value(f"   seconds\n0  {seconds}", text_html=html)]

    assert compare(table(1.5), table(2.5), times=True) == []
    assert len(compare(table(1.5), table(2.5))) == 2
