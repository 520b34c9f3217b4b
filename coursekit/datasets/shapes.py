"""The shapes world: captioned pictures of one shape each, and a clip, drawn from a seed.

Every picture is a function of (seed, number of the picture, settings) alone. Here is decided
what stands where; `scenes` paints it. Array shapes as in `drawing`.
"""

from collections.abc import Sequence

import numpy as np

from coursekit.datasets.drawing import (
    Draws,
    check_names,
    check_window,
    chunks,
    coverage,
    paint,
    pixel_positions,
    to_bytes,
)
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.outlines import ALL_SHAPES, SOURCE_SHAPES
from coursekit.datasets.scenes import (
    BACKGROUNDS,
    Clutter,
    Pattern,
    Scene,
    draw_scenes,
    shape_distance,
)
from coursekit.errors import SettingsError

# Red, green and blue of each color, from 0 to 1.
RGB = {
    "red": (0.85, 0.12, 0.12),
    "orange": (0.96, 0.52, 0.08),
    "yellow": (0.96, 0.87, 0.16),
    "green": (0.14, 0.58, 0.18),
    "cyan": (0.15, 0.80, 0.86),
    "blue": (0.12, 0.24, 0.85),
    "purple": (0.54, 0.16, 0.72),
    "pink": (0.97, 0.50, 0.70),
    "brown": (0.44, 0.25, 0.11),
    "white": (0.95, 0.95, 0.94),
}

COLORS = tuple(RGB)

# Half-width of a shape of each size, as a share of the picture's.
RADII = {"small": 0.36, "medium": 0.52, "large": 0.72}

SIZES = tuple(RADII)

# One (shape, color) pair in ten, to keep out of training: one color of every shape, two or
# three shapes of every color.
HELD_OUT_PAIRS = tuple(
    (shape, COLORS[3 * number % len(COLORS)]) for number, shape in enumerate(ALL_SHAPES)
)


def caption_shape(shape: str, color: str = "", size: str = "", background: str = "") -> str:
    """Return what a picture shows, in words; a part that is not given is left out.

    Examples
    --------
    >>> caption_shape("star", "red", "small", "striped")
    'a small red star on a striped background'
    """
    caption = _with_article(" ".join(filter(None, (size, color, shape))))
    return f"{caption} on {_with_article(background)} background" if background else caption


def _with_article(words: str) -> str:
    sounds_like_vowel = words[0] in "aeio" or words.startswith("hour")
    return f"{'an' if sounds_like_vowel else 'a'} {words}"


N_CANDIDATES = 8  # of as many random colors the one least like the shape's is taken


def choose_attributes(
    draws: Draws, choices: dict[str, tuple[str, ...]], allowed: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the attributes of each picture."""
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
    """Return scenes with these attributes and everything else at random."""
    radius = _numbers(size, RADII) * draws.uniform("radius", 0.96, 1.04)
    room = np.maximum(0.98 - radius, 0.12)
    x, y = draws.uniform("x", -1, 1) * room, draws.uniform("y", -1, 1) * room
    cosine, sine = draws.directions("turn", most=40 / 360)
    rgb = _jittered(draws, _numbers(color, RGB))
    light_x, light_y = draws.directions("light")
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
    cosine, sine = draws.directions("pattern turn")
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
    distances = [_unlikeness(candidates, other[:, None]) for other in others]
    best = np.argmax(np.minimum.reduce(distances), axis=1)
    return candidates[np.arange(len(best)), best]


def _unlikeness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    change = first - second
    change *= change
    return change[..., 0] + change[..., 1] + change[..., 2]


def _clutter_behind(draws: Draws) -> Clutter:
    """Return a bar, a triangle and two dots, each there or not."""
    n_images, n_items = len(draws), 4
    cosine, sine = draws.directions("clutter turn", n_columns=n_items)
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
    cosine, sine = draws.directions("bar turn")
    away = draws.uniform("bar place", 0.6, 1) * radius
    tilt_cosine, tilt_sine = draws.directions("bar tilt")
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

    def ones(**values: float) -> dict[str, np.ndarray]:
        return {name: np.array([value], np.float32) for name, value in values.items()}

    nothing = np.zeros((1, 0), np.float32)
    empty = Clutter(
        **dict.fromkeys(("x", "y", "cosine", "sine", "length", "width", "slant"), nothing),
        visible=nothing.astype(bool),
        color=np.zeros((1, 0, 3), np.float32),
    )
    paper = ((0.42, 0.47, 0.55), (0.62, 0.66, 0.72))
    return Scene(
        shape=np.array([ALL_SHAPES.index(shape)]),
        color=np.array([RGB[color]], np.float32),
        pattern=Pattern(
            kind=np.array([BACKGROUNDS.index(background)]),
            phase=np.full((1, 2), 0.25, np.float32),
            **ones(cosine=0.8, sine=0.6, period=0.5, fill=0.5),
        ),
        background_colors=np.array([paper], np.float32),
        behind=empty,
        front=empty,
        noise_keys=np.zeros(1, np.uint64),
        **ones(x=0, y=0, radius=RADII[size], aspect=1, cosine=1, sine=0, opacity=1),
        **ones(light_x=-0.6, light_y=-0.8, relief=0.6, shadow=0.4, falloff=0),
        **ones(contrast=1, haze=0, noise=0),
    )


CARD = """\
The shapes world: one shape a picture, drawn by coursekit.datasets.make_shapes from a seed.
28 shapes, 10 colors, 3 sizes, 7 backgrounds, with shading, shadow, clutter and noise.
No photographs, no people; the pictures are free to use as coursekit is (CC BY 4.0)."""


def make_shapes(
    n_images: int,
    *,
    seed: int,
    start: int = 0,
    image_size: int = 32,
    shapes: Sequence[str] = SOURCE_SHAPES,
    colors: Sequence[str] = COLORS,
    sizes: Sequence[str] = SIZES,
    backgrounds: Sequence[str] = BACKGROUNDS,
    exclude_pairs: Sequence[tuple[str, str]] = (),
) -> ImageSet:
    """Return captioned pictures of shapes, numbers `start` on of the world of `seed`.

    Parameters
    ----------
    n_images, seed, image_size : int
        Different seeds are different worlds. A scene is the same at any size (8 to 1024
        pixels); only the noise differs.
    start : int, default=0
        ``make_shapes(10, seed=0, start=5)`` are the last ten of ``make_shapes(15, seed=0)``.
        Windows that do not overlap share no picture.
    shapes : sequence of str
        The classes: any of `SOURCE_SHAPES` and `UNSEEN_SHAPES`, in the order of the labels.
    colors, sizes, backgrounds : sequence of str
        What the other attributes are drawn from; one name fixes one: ``colors=["red"]``.
    exclude_pairs : sequence of (str, str)
        (shape, color) pairs that are never drawn, such as `HELD_OUT_PAIRS`.

    Returns
    -------
    ImageSet
        Images of shape (n_images, image_size, image_size, 3); each class once in every
        ``len(shapes)`` pictures; captions; the attributes ``"shape"``, ``"color"``,
        ``"size"`` and ``"background"``.

    Examples
    --------
    >>> make_shapes(100, seed=0)
    ImageSet(100 images of 32 x 32 x 3, 18 classes)
    """
    check_window(n_images, image_size)
    choices = {
        "shape": check_names("shapes", shapes, ALL_SHAPES),
        "color": check_names("colors", colors, COLORS),
        "size": check_names("sizes", sizes, SIZES),
        "background": check_names("backgrounds", backgrounds, BACKGROUNDS),
    }
    allowed = _allowed_colors(choices["shape"], choices["color"], exclude_pairs)
    indices = np.arange(start, start + n_images, dtype=np.uint64)
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    attributes = {
        name: np.empty(n_images, np.array(choices[name]).dtype) for name in choices
    }
    for rows in chunks(n_images, image_size):
        draws = Draws(seed, "shapes", indices[rows])
        names = choose_attributes(draws, choices, allowed)
        for name, values in names.items():
            attributes[name][rows] = values
        images[rows] = draw_scenes(random_scene(draws, **names), image_size=image_size)
    position = {name: label for label, name in enumerate(choices["shape"])}
    return ImageSet(
        images=images,
        labels=np.array([position[name] for name in attributes["shape"]]),
        class_names=choices["shape"],
        captions=tuple(map(caption_shape, *attributes.values())),
        attributes=attributes,
        card=CARD,
    )


def draw_shape(
    shape: str,
    *,
    color: str = "red",
    size: str = "large",
    background: str = "plain",
    image_size: int = 64,
) -> np.ndarray:
    """Return one clean picture, uint8: upright, centered, without clutter and noise.

    Examples
    --------
    >>> draw_shape("heart", color="pink").shape
    (64, 64, 3)
    """
    check_names("shape", [shape], ALL_SHAPES)
    check_names("color", [color], COLORS)
    check_names("size", [size], SIZES)
    check_names("background", [background], BACKGROUNDS)
    check_window(1, image_size)
    return draw_scenes(clean_scene(shape, color, size, background), image_size=image_size)[
        0
    ]


def _allowed_colors(
    shapes: tuple[str, ...],
    colors: tuple[str, ...],
    exclude_pairs: Sequence[tuple[str, str]],
) -> np.ndarray:
    """Return which shape may have which color, bool of shape (n_shapes, n_colors)."""
    excluded = {tuple(pair) for pair in exclude_pairs}
    for pair in excluded:
        if len(pair) != 2 or pair[0] not in ALL_SHAPES or pair[1] not in COLORS:
            msg = f"exclude_pairs must hold pairs like ('star', 'red'), got {pair!r}."
            raise SettingsError(msg)
    allowed = np.array([[(s, c) not in excluded for c in colors] for s in shapes])
    if not allowed.any(axis=1).all():
        bare = shapes[int(np.flatnonzero(~allowed.any(axis=1))[0])]
        msg = (
            f"exclude_pairs leaves the shape {bare!r} without a color out of "
            f"{', '.join(colors)}. Allow another color, or leave the shape out."
        )
        raise SettingsError(msg)
    return allowed


N_MOVING = 2
BRIGHT = ("red", "orange", "yellow", "cyan", "pink", "white")


def make_moving_shapes(n_frames: int, *, seed: int, image_size: int = 32) -> np.ndarray:
    """Return a clip of two shapes that move at constant speed and bounce off the border.

    Of shape (n_frames, image_size, image_size, 3), uint8; the first frames of a longer clip are
    the shorter clip.

    Examples
    --------
    >>> make_moving_shapes(16, seed=0).shape
    (16, 32, 32, 3)
    """
    check_window(n_frames, image_size)
    clip = np.empty((n_frames, image_size, image_size, 3), np.uint8)
    for frames in chunks(n_frames, image_size):
        clip[frames] = _draw_frames(np.arange(frames.start, frames.stop), seed, image_size)
    return clip


def _draw_frames(frames: np.ndarray, seed: int, image_size: int) -> np.ndarray:
    positions = pixel_positions(image_size)
    n_frames = len(frames)
    slope = 0.22 + 0.08 * positions  # darker at the top
    tint = np.array([0.8, 0.9, 1.2], np.float32)
    canvas = np.empty((n_frames, 3, image_size, image_size), np.float32)
    canvas[:] = slope[:, None] * tint[:, None, None]
    pixel = np.full(n_frames, 2 / image_size, np.float32)
    draws = Draws(seed, "moving shapes", np.arange(N_MOVING, dtype=np.uint64))
    shapes = draws.balanced("shape", len(SOURCE_SHAPES))  # two different ones
    colors = draws.balanced("color", len(BRIGHT))
    radii = draws.uniform("radius", 0.26, 0.36)
    places = draws.uniform("place", 0, 1.5, n_columns=2)
    places[1, 0] += 2  # starts on the other side and comes the other way
    speeds = draws.uniform("speed", 0.09, 0.16, n_columns=2)
    for number in range(N_MOVING):
        room = np.float32(0.92) - np.float32(1.06) * radii[number]
        x, y = (
            _bounce(places[number, axis] + speeds[number, axis] * frames.astype(np.float32))
            * room
            for axis in range(2)
        )
        radius = np.full(n_frames, radii[number], np.float32)
        which = np.full(n_frames, shapes[number])
        rgb = np.array(RGB[BRIGHT[colors[number]]], np.float32)
        distance = shape_distance(which, x, y, radius, positions)
        paint(canvas, np.tile(rgb, (n_frames, 1)), coverage(distance, pixel))
    return to_bytes(canvas)


def _bounce(way: np.ndarray) -> np.ndarray:
    """Return the way along a line folded into -1 to 1, with period 4."""
    folded = way - 4 * np.floor(way * 0.25)
    return np.abs(folded - 2) - 1
