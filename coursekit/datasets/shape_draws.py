"""Decide at random what stands where in a picture of the shapes world.

Nothing here paints.
"""

import numpy as np

from coursekit.datasets.backgrounds import BACKGROUNDS, Pattern
from coursekit.datasets.draws import Draws, directions
from coursekit.datasets.shape_attributes import ALL_SHAPES, COLORS, RADII, RGB
from coursekit.datasets.shape_scenes import Clutter, Scene

__all__ = ["choose_attributes", "clean_scene", "random_scene"]

N_CANDIDATES = 8


def choose_attributes(
    draws: Draws, choices: dict[str, tuple[str, ...]], allowed: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the attributes of each picture.

    Parameters
    ----------
    draws : Draws
    choices : dict
        The names to choose from, under "shape", "color", "size", "background".
    allowed : ndarray of shape (n_shapes, n_colors), bool
        Which shape may have which color.

    Returns
    -------
    dict of str to ndarray of shape (n_images,), str
    """
    shape = draws.balanced("shape", len(choices["shape"]))
    rank = np.floor(draws.uniform("color") * allowed.sum(axis=1)[shape])
    color = np.argmax(np.cumsum(allowed, axis=1)[shape] > rank[:, None], axis=1)
    size = draws.integers("size", len(choices["size"]))
    background = draws.integers("background", len(choices["background"]))
    picked = {"shape": shape, "color": color, "size": size, "background": background}
    return {name: np.array(choices[name])[values] for name, values in picked.items()}


def random_scene(
    draws: Draws,
    *,
    shape: np.ndarray,
    color: np.ndarray,
    size: np.ndarray,
    background: np.ndarray,
) -> Scene:
    """Return scenes with these attributes and everything else at random.

    Parameters
    ----------
    draws : Draws
    shape, color, size, background : ndarray of shape (n_images,), str

    Returns
    -------
    Scene
    """
    radius = _numbers(size, RADII) * draws.uniform("radius", 0.96, 1.04)
    room = np.maximum(0.98 - radius, 0.12)
    x, y = draws.uniform("x", -1, 1) * room, draws.uniform("y", -1, 1) * room
    cosine, sine = directions(draws.uniform("turn", -40 / 360, 40 / 360))
    rgb = _jittered(draws, _numbers(color, RGB))
    light_x, light_y = directions(draws.uniform("light"))
    return Scene(
        shape=_numbers(shape, {name: i for i, name in enumerate(ALL_SHAPES)}).astype(
            np.int64
        ),
        x=x,
        y=y,
        radius=radius,
        aspect=draws.uniform("aspect", 0.85, 1.15),
        cosine=cosine,
        sine=sine,
        color=rgb,
        opacity=np.ones(len(draws), np.float32),
        pattern=_pattern(draws, background),
        background_colors=_background_colors(draws, rgb),
        behind=_clutter_behind(draws),
        front=_bar_in_front(draws, x, y, radius),
        light_x=light_x,
        light_y=light_y,
        relief=draws.uniform("relief", 0.3, 1),
        shadow=draws.uniform("shadow", 0.25, 0.6),
        falloff=draws.uniform("falloff", 0, 0.25),
        contrast=draws.uniform("contrast", 0.6, 1),
        haze=draws.uniform("haze", 0.1, 0.9),
        noise=draws.uniform("noise one") * draws.uniform("noise two", 0, 0.08),
        noise_keys=draws.bits("noise")[:, 0],
    )


def _numbers(names: np.ndarray, table: dict) -> np.ndarray:
    """Return each name's number or numbers, float32."""
    return np.array([table[name] for name in names], np.float32)


def _jittered(draws: Draws, rgb: np.ndarray) -> np.ndarray:
    brightness = draws.uniform("brightness", 0.85, 1.05)[:, None]
    rgb = rgb * brightness + draws.uniform("tint", -0.05, 0.05, n_columns=3)
    return np.clip(rgb, 0, 1)


def _pattern(draws: Draws, background: np.ndarray) -> Pattern:
    cosine, sine = directions(draws.uniform("pattern turn"))
    kinds = {name: i for i, name in enumerate(BACKGROUNDS)}
    return Pattern(
        kind=_numbers(background, kinds).astype(np.int64),
        cosine=cosine,
        sine=sine,
        period=draws.uniform("pattern period", 0.26, 0.75),
        phase=draws.uniform("pattern phase", n_columns=2),
        fill=draws.uniform("pattern fill", 0.35, 0.65),
    )


def _background_colors(draws: Draws, rgb: np.ndarray) -> np.ndarray:
    """Return two colors, of shape (n_images, 2, 3), unlike the shape's and each other."""
    candidates = draws.uniform("background colors", 0.05, 0.95, n_columns=6 * N_CANDIDATES)
    candidates = candidates.reshape(len(rgb), 2, N_CANDIDATES, 3)
    gray = draws.uniform("background gray", 0.15, 0.85, n_columns=2)[:, :, None, None]
    muted = draws.uniform("background muted", 0.1, 0.75)[:, None, None, None]
    candidates += (gray - candidates) * muted
    first = _farthest(candidates[:, 0], rgb)
    second = _farthest(candidates[:, 1], rgb, first)
    second += (first - second) * draws.uniform("background contrast", 0.05, 0.7)[:, None]
    return np.stack([first, second], axis=1)


def _farthest(candidates: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return of each image's candidates the one least like any of the others."""
    likeness = [_squared_distance(candidates, other[:, None]) for other in others]
    best = np.argmax(np.minimum.reduce(likeness), axis=1)
    return candidates[np.arange(len(best)), best]


def _squared_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    change = first - second
    change *= change
    return change[..., 0] + change[..., 1] + change[..., 2]


def _clutter_behind(draws: Draws) -> Clutter:
    """Return a bar, a triangle and two dots, each there or not."""
    n_images, n_items = len(draws), 4
    cosine, sine = directions(draws.uniform("clutter turn", n_columns=n_items))
    length = draws.uniform("clutter length", 1, 1.5, n_columns=n_items)
    length = length * np.array([0.17, 0.09, 0.06, 0.05], np.float32)
    width = length * np.array([0.3, 0.9, 1, 1], np.float32)
    return Clutter(
        x=draws.uniform("clutter x", -0.95, 0.95, n_columns=n_items),
        y=draws.uniform("clutter y", -0.95, 0.95, n_columns=n_items),
        cosine=cosine,
        sine=sine,
        length=length,
        width=width,
        slant=np.tile(np.array([0, 1, 0, 0], np.float32), (n_images, 1)),
        visible=draws.uniform("clutter", n_columns=n_items) < 0.3,
        color=_item_colors(draws, "clutter color", n_items),
    )


def _bar_in_front(
    draws: Draws, x: np.ndarray, y: np.ndarray, radius: np.ndarray
) -> Clutter:
    """Return one bar over the rim of the shape, in three pictures of twenty."""
    cosine, sine = directions(draws.uniform("bar turn"))
    away = draws.uniform("bar place", 0.6, 1) * radius
    tilt_cosine, tilt_sine = directions(draws.uniform("bar tilt"))
    one = (len(draws), 1)
    return Clutter(
        x=(x + away * cosine).reshape(one),
        y=(y + away * sine).reshape(one),
        cosine=tilt_cosine.reshape(one),
        sine=tilt_sine.reshape(one),
        length=(draws.uniform("bar length", 0.3, 0.65) * radius).reshape(one),
        width=(draws.uniform("bar width", 0.09, 0.14) * radius).reshape(one),
        slant=np.zeros(one, np.float32),
        visible=draws.happens("bar", 0.15).reshape(one),
        color=_item_colors(draws, "bar color", 1),
    )


def _item_colors(draws: Draws, name: str, n_items: int) -> np.ndarray:
    rgb = np.array(list(RGB.values()), np.float32)
    return rgb[draws.integers(name, len(COLORS), n_columns=n_items)]


def clean_scene(shape: str, color: str, size: str, background: str) -> Scene:
    """Return the scene of one picture with nothing at random: upright, centered, alone."""

    def one(value: float) -> np.ndarray:
        return np.array([value], np.float32)

    nothing = np.zeros((1, 0), np.float32)
    empty = Clutter(
        **dict.fromkeys(("x", "y", "cosine", "sine", "length", "width", "slant"), nothing),
        visible=nothing.astype(bool),
        color=np.zeros((1, 0, 3), np.float32),
    )
    paper = ((0.42, 0.47, 0.55), (0.62, 0.66, 0.72))
    return Scene(
        shape=np.array([ALL_SHAPES.index(shape)]),
        x=one(0),
        y=one(0),
        radius=one(RADII[size]),
        aspect=one(1),
        cosine=one(1),
        sine=one(0),
        color=np.array([RGB[color]], np.float32),
        opacity=one(1),
        pattern=Pattern(
            kind=np.array([BACKGROUNDS.index(background)]),
            cosine=one(0.8),
            sine=one(0.6),
            period=one(0.5),
            phase=np.full((1, 2), 0.25, np.float32),
            fill=one(0.5),
        ),
        background_colors=np.array([paper], np.float32),
        behind=empty,
        front=empty,
        light_x=one(-0.6),
        light_y=one(-0.8),
        relief=one(0.6),
        shadow=one(0.4),
        falloff=one(0),
        contrast=one(1),
        haze=one(0),
        noise=one(0),
        noise_keys=np.zeros(1, np.uint64),
    )
