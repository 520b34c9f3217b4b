"""Draw sound: a wave over time, and its spectrogram.

Nothing here computes a spectrum; it draws the one that it is given.
"""

from typing import Any

from coursekit.errors import SettingsError
from coursekit.figures.arrays import as_array
from coursekit.figures.figure import Figure
from coursekit.figures.style import COLORS, style

__all__ = ["plot_signal", "plot_spectrogram"]

_LONG = 4000  # samples: beyond it a thinner line shows more


def plot_signal(
    signal: Any, *, sample_rate: float, title: str, y_label: str = "amplitude"
) -> Figure:
    """Return a figure of a signal over time.

    Parameters
    ----------
    signal : array-like or Tensor of shape (n_samples,)
    sample_rate : float
        Samples per second.
    title : str
        Says what to see.
    y_label : str, default="amplitude"
        What a sample is, with its unit.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the signal is empty or has more than one axis.
    SettingsError
        If a sample is not finite or the rate not positive.

    Examples
    --------
    >>> plot_signal([0, 1, 0, -1], sample_rate=4, title="One period in a second")
    <Figure: 'One period in a second', 1 axes>
    """
    samples = as_array(signal, name="signal", n_axes=1).astype(float)
    _check_rate("sample_rate", sample_rate)
    seconds = [index / sample_rate for index in range(len(samples))]
    figure = Figure(height=2.6, title=title)
    axes = figure.subplots()
    with style():
        width = 1.5 if len(samples) <= _LONG else 0.6
        axes.plot(seconds, samples, color=COLORS["blue"], linewidth=width)
        axes.margins(x=0.01)
        axes.set(xlabel="time (s)", ylabel=y_label)
    return figure


def plot_spectrogram(
    spectrogram: Any,
    *,
    sample_rate: float,
    hop_length: int,
    title: str,
    color_label: str = "magnitude",
    color_map: str = "magma",
    max_hertz: float | None = None,
) -> Figure:
    """Return a figure of how strong each frequency is at each time.

    Parameters
    ----------
    spectrogram : array or Tensor of shape (n_frequencies, n_frames)
        As `torch.stft` orders it, real: from 0 hertz in its first row to half the sample
        rate in its last.
    sample_rate : float
        Samples of the signal per second.
    hop_length : int
        Samples from one frame to the next.
    title : str
        Says what to see.
    color_label : str, default="magnitude"
        What the numbers are, with their unit.
    color_map : str, default="magma"
    max_hertz : float, optional
        The highest frequency shown.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If it is not a matrix with at least two frequencies.
    SettingsError
        If a number is complex or not finite, or a rate is not positive.

    Examples
    --------
    >>> axes = plot_spectrogram(
    ...     [[0, 1], [1, 0]], sample_rate=8000, hop_length=100, title="Two tones"
    ... ).axes[0]
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('time (s)', 'frequency (Hz)')
    """
    strengths = as_array(spectrogram, name="spectrogram", n_axes=2).astype(float)
    _check_rate("sample_rate", sample_rate)
    _check_rate("hop_length", hop_length)
    n_frequencies, n_frames = strengths.shape
    step = sample_rate / 2 / max(n_frequencies - 1, 1)  # hertz from row to row
    frame = hop_length / sample_rate
    extent = (-frame / 2, (n_frames - 0.5) * frame, -step / 2, sample_rate / 2 + step / 2)
    figure = Figure(height=3.4, title=title)
    axes = figure.subplots()
    with style():
        drawn = axes.imshow(
            strengths,
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap=color_map,
            interpolation="nearest",
        )
        axes.set(xlabel="time (s)", ylabel="frequency (Hz)")
        axes.set_ylim(0, max_hertz or sample_rate / 2)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(visible=False)
        bar = figure.colorbar(drawn, ax=axes, pad=0.015)
        bar.set_label(color_label)
        bar.outline.set_visible(False)
    return figure


def _check_rate(name: str, rate: float) -> None:
    if not rate > 0:
        msg = f"{name} must be positive, got {rate}."
        raise SettingsError(msg)
