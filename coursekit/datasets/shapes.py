"""The shapes world: captioned pictures of one shape each, and a clip, drawn from a seed.

Every picture is a function of (seed, number of the picture, settings) alone. Here is decided
what stands where; `scenes` paints it. Array shapes as in `drawing`.
"""

from collections.abc import Sequence

import numpy as np

from coursekit.datasets.drawing import (
    Draws,
    chunks,
    coverage,
    paint,
    pixel_positions,
    pixel_width,
    to_bytes,
)
from coursekit.datasets.imageset import ImageSet
from coursekit.datasets.scenes import (
    ALL_SHAPES,
    BACKGROUNDS,
    SOURCE_SHAPES,
    Rows,
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
_RGB = np.array(list(RGB.values()), np.float32)

# Half-width of a shape of each size, as a share of the picture's.
RADII = {"small": 0.36, "medium": 0.52, "large": 0.72}
SIZES = tuple(RADII)
_RADII = np.array(list(RADII.values()), np.float32)

NAMES = {"shape": ALL_SHAPES, "color": COLORS, "size": SIZES, "background": BACKGROUNDS}

# One (shape, color) pair in ten, to keep out of training: one color of every shape, two or
# three shapes of every color.
HELD_OUT_PAIRS = tuple(
    (shape, COLORS[3 * number % len(COLORS)]) for number, shape in enumerate(ALL_SHAPES)
)

N_CANDIDATES = 8  # of as many random colors the one least like the shape's is taken


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


def random_scene(draws: Draws, numbers: dict[str, np.ndarray]) -> Rows:
    """Return scenes with these attributes and everything else at random.

    Attributes are places in `NAMES`. The picture is 2 wide; sizes are half-widths.
    """
    uniform = draws.uniform
    radius = _RADII[numbers["size"]] * uniform("radius", 0.96, 1.04)
    room = np.maximum(0.98 - radius, 0.12)
    x, y = uniform("x", -1, 1) * room, uniform("y", -1, 1) * room
    rgb = _RGB[numbers["color"]] * uniform("brightness", 0.85, 1.05)[:, None]
    rgb = np.clip(rgb + uniform("tint", -0.05, 0.05, n_columns=3), 0, 1)
    return Rows(
        shape=numbers["shape"],
        x=x,
        y=y,
        radius=radius,
        aspect=uniform("aspect", 0.85, 1.15),  # wider than high above 1
        turn=draws.directions("turn", -40 / 360, 40 / 360),
        color=rgb,
        pattern=Rows(
            kind=numbers["background"],
            turn=draws.directions("pattern turn"),  # in which the pattern repeats
            period=uniform("pattern period", 0.26, 0.75),  # its length there
            phase=uniform("pattern phase", n_columns=2),  # shift in periods
            fill=uniform("pattern fill", 0.35, 0.65),  # share of the second color
        ),
        background_colors=_background_colors(draws, rgb),
        behind=_clutter_behind(draws),
        front=_bar_in_front(draws, x, y, radius),
        light=draws.directions("light"),  # where it comes from
        relief=uniform("relief", 0.3, 1),  # how strongly it shades the shape
        shadow=uniform("shadow", 0.25, 0.6),  # opacity
        falloff=uniform("falloff", 0, 0.25),  # how much darker it is away from the light
        contrast=uniform("contrast", 0.6, 1),  # below 1, it is seen as through haze
        haze=uniform("haze", 0.1, 0.9),  # brightness of that haze
        noise=uniform("noise one") * uniform("noise two", 0, 0.08),
        noise_keys=draws.bits("noise"),
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
    change = (candidates[:, None] - np.stack(others, axis=1)[:, :, None]) ** 2
    distances = change[..., 0] + change[..., 1] + change[..., 2]
    best = np.argmax(distances.min(axis=1), axis=1)
    return candidates[np.arange(len(best)), best]


def _clutter_behind(draws: Draws) -> Rows:
    """Return a bar, a triangle and two dots, each there or not."""
    length = draws.uniform("clutter length", 1, 1.5, n_columns=4)
    length = length * np.array([0.17, 0.09, 0.06, 0.05], np.float32)
    return Rows(
        x=draws.uniform("clutter x", -0.95, 0.95, n_columns=4),
        y=draws.uniform("clutter y", -0.95, 0.95, n_columns=4),
        turn=draws.directions("clutter turn", n_columns=4),
        length=length,
        width=length * np.array([0.3, 0.9, 1, 1], np.float32),
        slant=np.tile(np.array([0, 1, 0, 0], np.float32), (len(length), 1)),  # 1: triangle
        visible=draws.uniform("clutter", n_columns=4) < 0.3,
        color=_RGB[draws.integers("clutter color", len(COLORS), n_columns=4)],
    )


def _bar_in_front(draws: Draws, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> Rows:
    """Return one bar over the rim of the shape, in three pictures of twenty."""
    way_x, way_y = draws.directions("bar turn").T
    away = draws.uniform("bar place", 0.6, 1) * radius
    bar = Rows(
        x=x + away * way_x,
        y=y + away * way_y,
        turn=draws.directions("bar tilt"),
        length=draws.uniform("bar length", 0.3, 0.65) * radius,
        width=draws.uniform("bar width", 0.09, 0.14) * radius,
        slant=np.zeros_like(x),
        visible=draws.happens("bar", 0.15),
        color=_RGB[draws.integers("bar color", len(COLORS))],
    )
    return bar.at((slice(None), None))


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

    Of shape (n_images, image_size, image_size, 3); each class comes once in every
    ``len(shapes)`` pictures. The attributes are ``"shape"``, ``"color"``, ``"size"`` and
    ``"background"``.

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

    Examples
    --------
    >>> make_shapes(100, seed=0)
    ImageSet(100 images of 32 x 32 x 3, 18 classes)
    """
    given = zip(NAMES, (shapes, colors, sizes, backgrounds), strict=True)
    choices = {kind: _numbers(kind, names) for kind, names in given}
    allowed = np.ones((len(ALL_SHAPES), len(COLORS)), bool)
    for shape, color in exclude_pairs:
        allowed[ALL_SHAPES.index(shape), COLORS.index(color)] = False
    allowed = allowed[choices["shape"]][:, choices["color"]]
    if not allowed.any(axis=1).all():
        msg = (
            "exclude_pairs leaves a shape without a color. Allow a color, or leave it out."
        )
        raise SettingsError(msg)
    draws = Draws(seed, "shapes", np.arange(start, start + n_images, dtype=np.uint64))
    labels = draws.balanced("shape", len(allowed))
    rank = np.floor(draws.uniform("color") * allowed.sum(axis=1)[labels])
    picked = {
        "shape": labels,
        "color": np.argmax(np.cumsum(allowed, axis=1)[labels] > rank[:, None], axis=1),
        "size": draws.integers("size", len(choices["size"])),
        "background": draws.integers("background", len(choices["background"])),
    }
    numbers = {kind: choices[kind][rows] for kind, rows in picked.items()}
    attributes = {kind: np.array(NAMES[kind])[rows] for kind, rows in numbers.items()}
    images = np.empty((n_images, image_size, image_size, 3), np.uint8)
    for rows in chunks(n_images, image_size):
        some = {kind: values[rows] for kind, values in numbers.items()}
        scene = random_scene(draws.rows(rows), some)
        images[rows] = draw_scenes(scene, image_size=image_size)
    return ImageSet(
        images=images,
        labels=labels,
        class_names=[ALL_SHAPES[number] for number in choices["shape"]],
        captions=tuple(map(caption_shape, *attributes.values())),
        attributes=attributes,
        card=CARD,
    )


def draw_shape(
    shape: str, *, color: str = "red", size: str = "large", image_size: int = 64
) -> np.ndarray:
    """Return one clean picture, uint8: upright, centered, on a plain background.

    Examples
    --------
    >>> draw_shape("heart", color="pink").shape
    (64, 64, 3)
    """
    given = zip(NAMES, (shape, color, size, "plain"), strict=True)
    numbers = {kind: _numbers(kind, name) for kind, name in given}
    scene = random_scene(Draws(0, "clean", np.zeros(1, np.uint64)), numbers)
    place = {"x": 0, "y": 0, "radius": RADII[size], "aspect": 1, "turn": (1, 0)}
    light = {"light": (-0.6, -0.8), "relief": 0.6, "shadow": 0.4, "falloff": 0}
    paper = [(0.42, 0.47, 0.55), (0.62, 0.66, 0.72)]
    look = {"color": RGB[color], "background_colors": paper, "contrast": 1, "noise": 0}
    for name, value in (place | light | look).items():
        setattr(scene, name, np.array([value], np.float32))
    scene.pattern.turn[:], scene.pattern.fill[:] = (0.8, 0.6), 0.5
    scene.behind.visible[:] = scene.front.visible[:] = False
    return draw_scenes(scene, image_size=image_size)[0]


def _numbers(kind: str, names: Sequence[str]) -> np.ndarray:
    """Return the places of the names in `NAMES`, or say which are known."""
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names or set(names) - set(NAMES[kind]):
        known, given = ", ".join(NAMES[kind]), ", ".join(names)
        msg = f"Each {kind} must be one of {known}, got {given or 'none'}."
        raise SettingsError(msg)
    return np.array([NAMES[kind].index(name) for name in names])


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
    positions = pixel_positions(image_size)
    slope = 0.22 + 0.08 * positions  # darker at the top
    tint = np.array([0.8, 0.9, 1.2], np.float32)
    draws = Draws(seed, "moving shapes", np.arange(2, dtype=np.uint64))
    shapes = draws.balanced("shape", len(SOURCE_SHAPES))  # two different ones
    colors = draws.balanced("color", len(BRIGHT))
    radii = draws.uniform("radius", 0.26, 0.36)
    places = draws.uniform("place", 0, 1.5, n_columns=2)
    places[1, 0] += 2  # starts on the other side and comes the other way
    speeds = draws.uniform("speed", 0.09, 0.16, n_columns=2)
    moments = np.arange(n_frames, dtype=np.float32)[:, None]
    canvas = np.empty((n_frames, 3, image_size, image_size), np.float32)
    canvas[:] = slope[:, None] * tint[:, None, None]
    for shape, color, radius, place, speed in zip(
        shapes, colors, radii, places, speeds, strict=True
    ):
        ways = _bounce(place + speed * moments) * (0.92 - np.float32(1.06) * radius)
        which, all_radii = (np.full(n_frames, value) for value in (shape, radius))
        distance = shape_distance(which, *ways.T, all_radii, positions)
        rgb = np.array([RGB[BRIGHT[color]]], np.float32)
        paint(canvas, rgb, coverage(distance, pixel_width(positions)))
    return to_bytes(canvas)


def _bounce(way: np.ndarray) -> np.ndarray:
    """Return the way along a line folded into -1 to 1, with period 4."""
    folded = way - 4 * np.floor(way * 0.25)
    return np.abs(folded - 2) - 1
