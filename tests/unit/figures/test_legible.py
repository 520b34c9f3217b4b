"""No text of any figure covers another, leaves the page, or is smaller than 9 points."""

import math
from itertools import combinations
from types import SimpleNamespace as Record

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from coursekit import figures

LONG = "herbaceous vegetation beside a permanent crop"
CLASSES = [f"{LONG[:i]}{i}" for i in range(12, 22)]
LABELS = {"title": "A title of some words", "x_label": "x (m)", "y_label": "y (s)"}
RNG = np.random.default_rng(0)
BELOW = np.repeat([0, 20], [12, 48])
NETWORKS = [f"a_network_{n}" for n in range(60)]
IMAGES = Record(images=np.zeros((10, 8, 8)), names=CLASSES)
PREDICTIONS = Record(
    class_names=CLASSES,
    classes=RNG.integers(0, 10, (10, 3)),
    probabilities=RNG.random((10, 3)),
    labels=np.zeros(10, int),
)
GROUPS = {f"shift {i}": {LONG: 0.91, "CNN": 0.962} for i in range(4)}


def timeline(*, has_gpu=True):
    """A timeline with long names at all its edges."""
    gpu = ("allocated", "reserved", "driver")
    samples = [
        {"seconds": i / 10, "resident_bytes": (900 + 5 * i) * 2**20}
        | {"saved_bytes": abs(math.sin(i)) * 50 * 2**20, "saved_bytes_peak": 60 * 2**20}
        | ({f"{key}_bytes": i * 2**n for n, key in enumerate(gpu, 20)} if has_gpu else {})
        for i in range(30)
    ]
    spans = [("whole", "whole", 0.0, math.inf), ("phase", "open", 2.8, math.inf)]
    long = "a phase with a long name"
    spans += [("phase", f"{k}, {long}", k * 0.4, k * 0.4 + 0.3) for k in range(7)]
    spans += [("mark", f"a mark at the very end {i}", 2.9, 2.9) for i in range(9)]
    labels = {"resident_bytes": "resident", "saved_bytes": "saved for backward"}
    labels |= {f"{key}_bytes": f"GPU {key}" for key in gpu}
    spans = [Record(kind=k, name=n, begin=b, end=e) for k, n, b, e in spans]
    return Record(samples=samples, spans=spans, labels=labels)


def history():
    n = np.arange(1.0, 31)
    columns = {"loss": 1 / n, "val_loss": 1 / n, "accuracy": n / 30, "val_accuracy": n / 30}
    return Record(to_frame=lambda: pd.DataFrame({"epoch": n} | columns))


def case(*given, **options):
    return given, {"title": LONG * 2} | options


CASES = {  # by the function, with a word where it has several: its arguments and options
    "show_images": case(
        [np.zeros((100 + 50 * (i % 4), 300 - 60 * (i % 3))) for i in range(7)], [LONG] * 7
    ),
    "show_augmentations": case(
        np.zeros((8, 8)), {LONG: [np.zeros((8, 8))] * 8, "b": np.zeros((8, 8, 8))}
    ),
    "show_matrix numbers": case(
        [np.full((5, 5), -1234.5), np.ones((3, 3)), np.ones((3, 3))],
        [LONG, "kernel", "response"],
        annotate=True,
    ),
    "show_matrix bar": case(1e5 * RNG.random((7, 28, 28)), [LONG] * 7),
    "show_weights": case(RNG.normal(size=(10, 1, 28, 28)), [LONG] * 10),
    "show_feature_maps": case(
        {f"stages.{i}.conv1": RNG.random((40, 2**i, 2**i)) for i in range(5)}
    ),
    "draw_window": case(
        *(np.zeros((7, 7)), -np.ones((3, 3)), np.zeros((5, 5))), row=1, column=2
    ),
    "show_receptive_field": case(RNG.random((6, 32, 32)), [(3, 3, 9, 9)] * 6, [LONG] * 6),
    "plot_curves": case(
        {f"curve number {i}": [0, 1, 2 + i / 1000] for i in range(12)}, **LABELS
    ),
    "plot_curves wide": case(
        {f"{LONG} {i}": np.arange(2) * 1e7 * i for i in range(9)}, **LABELS
    ),
    "plot_curves log": case(
        {"a": (10.0 ** np.arange(-6, 7), 10.0 ** np.arange(-12, 13, 2))}, log="xy", **LABELS
    ),
    "plot_history": case(history()),
    "plot_bars": case({f"features.{i}.conv": 1e6 + i for i in range(12)}, y_label="y"),
    "plot_bars groups": case(GROUPS, y_label="accuracy", spread=GROUPS),
    "plot_confusion": case(1e3 * np.eye(10), CLASSES),
    "plot_confusion 40": case(np.eye(40), [f"class {i}" for i in range(40)]),
    "plot_strategies": case({f"{LONG} {i}": [0.5, 0.5001] for i in range(6)}),
    "plot_trade_off": case(
        {LONG: ([0.8, 0.9], [9e3, 50.0], ["16", "64"]), "exact": ([1], [200])}, **LABELS
    ),
    "plot_bubbles": case(  # a front of twelve, and others below
        *(10 ** np.sort(RNG.uniform(-1, 3, 60)), np.sort(RNG.uniform(55, 90, 60)) - BELOW),
        *(RNG.uniform(1, 600, 60), NETWORKS),
        **LABELS | {"marked": NETWORKS[:12], "marked_label": "best", "log": "x"},
        size_label="million parameters",
    ),
    "plot_memory": case(timeline()),
    "show_neighbors": case(IMAGES, IMAGES, {"pixels": RNG.integers(0, 10, (10, 4))}),
    "show_predictions": case(IMAGES, PREDICTIONS),
}


def draw(name):
    given, options = CASES[name]
    return getattr(figures, name.split()[0])(*given, **options)


def test_every_function_has_a_case():
    tried = {name.split()[0] for name in CASES} | {"style"}
    assert tried == {name for name in figures.__all__ if name[0].islower()}


def visible_texts(figure):
    """Every text that is drawn; ticks outside the limits are not."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = {id(tick) for tick in axis._update_ticks()}
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if id(tick) not in drawn or not axes.axison:
                    hidden |= {id(tick.label1), id(tick.label2)}
            if not axes.axison:
                hidden.add(id(axis.label))
    return [t for t in texts if t.get_visible() and id(t) not in hidden]


@pytest.fixture(params=CASES, scope="module")
def figure(request):
    return draw(request.param)


@pytest.fixture(scope="module")
def png(figure):
    return figure.to_png()


@pytest.fixture(scope="module")
def boxes(figure, png):
    renderer = figure.canvas.get_renderer()
    # The words alone: an annotation's own extent holds its line, too.
    return [(t, Text.get_window_extent(t, renderer)) for t in visible_texts(figure)]


def test_texts_do_not_overlap(boxes):
    slack = 1.0  # pixels: boxes hold the line's spacing too
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert not (wide > slack and high > slack), (
            f"{one.get_text()!r} on {other.get_text()!r}"
        )


def test_texts_stay_on_the_page(figure, boxes):
    assert boxes
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1
        inside &= box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1
        assert inside, f"{text.get_text()!r} leaves the page"


def test_texts_are_large_enough(boxes):
    assert min(text.get_fontsize() for text, _ in boxes) >= 9


def test_pictures_are_small_and_fit_the_page(figure, png):
    assert len(png) < 100_000
    assert figure.get_figwidth() < 9.501
    assert figure.get_figheight() <= 11


def test_the_users_own_settings_do_not_reach_the_picture():
    odd = {"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 30, "figure.dpi": 30}
    odd |= {"savefig.bbox": "tight", "image.origin": "lower", "axes.facecolor": "red"}
    expected = draw("plot_history").to_png()
    with mpl.rc_context(odd | {"axes.labelsize": 5, "axes.grid": False}):
        assert draw("plot_history").to_png() == expected


# --- memory -------------------------------------------------------------------------------


def test_each_kind_of_memory_has_a_panel_with_phases_and_marks():
    figure = figures.plot_memory(timeline(), title="t")
    names, process, autograd, gpu = figure.axes
    assert process.lines[-1].get_ydata()[[0, -1]].tolist() == [900, 1045]
    assert max(autograd.lines[-1].get_ydata()) == 60  # between the samples
    assert [line.get_label() for line in gpu.lines[-2:]] == ["GPU reserved", "GPU driver"]
    spans = [patch.get_bbox() for patch in process.patches]
    assert [round(span.x0, 6) for span in spans[:3]] == [2.8, 0, 0.4]
    assert round(spans[0].x1, 6) == 2.9, "a phase that is open lasts to the end"
    assert list(process.lines[0].get_xdata()) == [2.9, 2.9]
    assert len(names.texts) == 17
    *_, last = figures.plot_memory(timeline(has_gpu=False), title="t").axes
    assert "not measured (no CUDA device): GPU allocated, GPU reserved" in last.get_xlabel()
