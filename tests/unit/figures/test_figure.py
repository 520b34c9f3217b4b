"""Figure: it shows itself once, always looks the same, and leaves no trace."""

import subprocess
import sys
from base64 import b64decode
from io import BytesIO

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

from coursekit.figures import Figure, plot_curves, show_images
from coursekit.figures.record import FIGURE_MIME


def draw_line(**settings):
    figure = Figure(height=2, title="A line", **settings)
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def test_the_bundle_holds_a_picture_a_text_and_the_width_on_the_page():
    data, metadata = draw_line()._repr_mimebundle_()
    assert data["text/plain"] == "<Figure: 'A line', 1 axes>"
    assert metadata == {"image/png": {"width": 950}}
    assert Image.open(BytesIO(b64decode(data["image/png"]))).size == (1520, 320)


def test_the_same_figure_gives_the_same_bytes_however_often_without_date_or_version():
    curves = {f"curve {i}": [0, 10**6 * i] for i in range(4)}
    same = [plot_curves(curves, title="t", x_label="x", y_label="y") for _ in range(2)]
    (png,) = {figure.to_png() for figure in same * 2}
    assert not [kind for kind in (b"tEXt", b"iTXt", b"tIME") if kind in png]


def test_a_change_after_showing_is_shown():
    figure = draw_line()
    before = figure.to_png()
    figure.axes[0].lines[0].set_ydata([1, 0])
    assert figure.to_png() != before


def test_nothing_global_changes():
    from matplotlib import pyplot as plt

    with mpl.rc_context({"font.size": 21, "axes.grid": False, "text.parse_math": True}):
        before = dict(mpl.rcParams)
        draw_line().to_png()
        plot_curves({"a": [1, 2]}, title="t", x_label="x", y_label="y").to_png()
        assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_importing_figures_loads_neither_pyplot_nor_torch():
    code = "import sys, coursekit.figures; print({'torch', 'matplotlib.pyplot'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


RAMP = np.linspace(0, 255, 400)[None, :, None]


@pytest.mark.parametrize(
    ("spread", "size", "error"),
    [(12, 400_000, 5), (120, 1_000_000, 0)],
    ids=["256 colors are enough", "they are not"],
)
def test_a_photograph_is_stored_small_and_true(spread, size, error):
    noise = np.random.default_rng(0).normal(0, spread, (400, 400, 3))
    figure = show_images((RAMP + noise).clip(0, 255).astype(np.uint8), title="A photograph")
    png = figure.to_png()
    drawn = np.asarray(Image.open(BytesIO(png)).convert("RGB"), float)
    exact = np.asarray(figure.canvas.buffer_rgba(), float)[..., :3]
    assert np.sqrt(np.square(drawn - exact).mean()) <= error
    assert len(png) < size


CELL = """
from coursekit.figures import plot_curves
plot_curves({"a": [1, 2, 4]}, title="Growth", x_label="day", y_label="leaves")
"""


def test_a_kernel_stores_one_picture_and_its_record_whatever_the_backend():
    cells = [CELL, "import matplotlib.pyplot as plt" + CELL, "%matplotlib inline\n" + CELL]
    executed = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
    NotebookClient(executed, kernel_name="python3", timeout=120).execute()
    figure = plot_curves({"a": [1, 2, 4]}, title="Growth", x_label="day", y_label="leaves")
    expected = figure._repr_mimebundle_()[0]
    for cell in executed.cells:
        (output,) = cell.outputs
        assert output.output_type == "execute_result"
        assert output.metadata["image/png"]["width"] == 950
        assert output.data[FIGURE_MIME] == expected[FIGURE_MIME]
        assert b64decode(output.data["image/png"]) == figure.to_png()
    nbformat.validate(executed)  # and a page of the notebook does not show the record
    page, _ = HTMLExporter().from_notebook_node(executed)
    assert FIGURE_MIME not in page
    assert "x_limits" not in page
    assert page.count("data:image/png;base64") >= 3
