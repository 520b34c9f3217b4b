"""The figure of memory over time: panels, phases, marks, and what was not measured."""

import math
from dataclasses import dataclass
from itertools import combinations

import pytest
from matplotlib.text import Text

from coursekit.errors import SettingsError, ShapeError
from coursekit.figures import plot_memory
from coursekit.inspection import DeviceMemory, Mark, MemorySample, Phase
from coursekit.inspection.memory import list_quantities

MIB = 2**20
NOTHING = {"saved": None, "allocator": "no CUDA device", "driver": "no CUDA device"}


@dataclass
class FakeTimeline:
    samples: list
    phases: list
    marks: list
    quantities: list


def timeline(*, n_samples=30, phases=(), marks=(), devices=()):
    samples = [
        MemorySample(
            seconds=i / 10,
            resident_bytes=(900 + 5 * i) * MIB,
            saved_bytes=int(abs(math.sin(i)) * 50 * MIB),
            saved_peak_bytes=60 * MIB,
            devices=tuple(
                DeviceMemory(30 * i * MIB, 0, 40 * i * MIB, 0, (500 + 40 * i) * MIB)
                for _ in devices
            ),
        )
        for i in range(n_samples)
    ]
    why_not = dict.fromkeys(NOTHING) if devices else NOTHING
    return FakeTimeline(
        samples, list(phases), list(marks), list_quantities(devices, why_not)
    )


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_each_kind_of_memory_has_a_panel_in_mib():
    figure = plot_memory(timeline(), title="t")
    process, autograd = panels(figure)
    assert process.lines[0].get_ydata()[[0, -1]].tolist() == [900, 1045]
    assert autograd.lines[0].get_ydata().max() == 60  # between the samples
    assert [axes.get_ylabel() for axes in panels(figure)] == ["MiB", "MiB"]


def test_without_a_gpu_the_figure_says_that_it_was_not_measured():
    figure = plot_memory(timeline(), title="t")
    note = panels(figure)[-1].get_xlabel()
    assert "not measured (no CUDA device): GPU allocated, GPU reserved, GPU driver" in note


def test_every_gpu_has_a_panel_with_three_lines():
    figure = plot_memory(timeline(devices=("cuda:0", "cuda:1")), title="t")
    assert [len(axes.lines) for axes in panels(figure)] == [1, 1, 3, 3]
    assert "not measured" not in panels(figure)[-1].get_xlabel()


def test_phases_are_shaded_where_they_were_and_marks_are_lines():
    phases = [Phase("forward", 0.0, 1.0), Phase("backward", 1.0, None)]
    figure = plot_memory(timeline(phases=phases, marks=[Mark("del", 2.0)]), title="t")
    process = panels(figure)[0]
    spans = [
        patch.get_path().transformed(patch.get_patch_transform()).get_extents()
        for patch in process.patches
    ]
    assert [(round(s.x0, 6), round(s.x1, 6)) for s in spans] == [(0, 1), (1, 2.9)]
    assert list(process.lines[0].get_xdata()) == [2.0, 2.0]
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert shown == {"forward", "backward", "del"}


def test_names_that_find_no_room_are_counted():
    marks = [Mark(f"a mark with a long name, number {i}", 1.0) for i in range(20)]
    figure = plot_memory(timeline(marks=marks), title="t")
    n_shown = len(figure.axes[0].texts)
    assert 0 < n_shown < 20
    assert f"{20 - n_shown} more names found no room" in panels(figure)[-1].get_xlabel()


@pytest.mark.parametrize("n_devices", [0, 4])
def test_no_text_covers_another_or_leaves_the_page(n_devices):
    names = [f"batch {2**k}, a phase with a long name" for k in range(7)]
    phases = [Phase(name, k * 0.4, k * 0.4 + 0.3) for k, name in enumerate(names)]
    marks = [Mark("at the very beginning", 0.0), Mark("at the very end of it", 2.9)]
    devices = tuple(f"cuda:{i}" for i in range(n_devices))
    figure = plot_memory(timeline(phases=phases, marks=marks, devices=devices), title="t")
    figure.to_png()
    assert figure.get_figheight() <= 11
    renderer = figure.canvas.get_renderer()
    shown = [figure._suptitle, *figure.axes[0].texts]
    shown += [one for axes in panels(figure) for one in axes.texts]
    boxes = [(one.get_text(), Text.get_window_extent(one, renderer)) for one in shown]
    for (one, a), (other, b) in combinations(boxes, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert not (wide > 1 and high > 1), f"{one!r} on {other!r}"
    for text, box in boxes:
        inside = box.x0 >= -1 and box.x1 <= figure.bbox.width + 1
        assert inside, f"{text!r} leaves the page"
        assert box.y1 <= figure.bbox.height + 1


def test_a_timeline_of_one_moment_can_be_drawn():
    assert plot_memory(timeline(n_samples=1), title="t").to_png()


def test_an_empty_timeline_is_refused():
    with pytest.raises(ShapeError, match="at least one sample"):
        plot_memory(timeline(n_samples=0), title="t")


def test_a_title_is_needed():
    with pytest.raises(SettingsError, match="title"):
        plot_memory(timeline(), title="")
