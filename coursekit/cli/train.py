"""``coursekit train``: make the weights that the course ships anew.

Nothing here knows how anything is trained.
"""

import hashlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter

from rich.console import Console

from coursekit.assets import data_folder
from coursekit.errors import SettingsError
from coursekit.recipes import (
    BackboneRecipe,
    ClipRecipe,
    ShippedModel,
    train_backbone,
    train_clip,
)

__all__ = ["RECIPES", "train_weights"]

RECIPES: dict[str, tuple[type, Callable[..., ShippedModel]]] = {
    "backbone": (BackboneRecipe, train_backbone),
    "clip": (ClipRecipe, train_clip),
}
"""By what ``coursekit train`` takes: the settings, and the function that trains."""


def train_weights(
    name: str,
    *,
    output: Path,
    n_images: int | None = None,
    n_epochs: int | None = None,
    seed: int | None = None,
) -> ShippedModel:
    """Train, write the files, and print what was reached.

    Parameters
    ----------
    name : str
        One of `RECIPES`.
    output : Path
        Folder for weights, card and log.
    n_images, n_epochs, seed : int, optional
        Other than the recipe's.

    Returns
    -------
    ShippedModel

    Raises
    ------
    SettingsError
        If there is no such recipe, or a number does not fit it.
    """
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"There is no recipe {name!r}.{guess} There are: {', '.join(RECIPES)}."
        raise SettingsError(msg)
    console = Console()
    make_recipe, train = RECIPES[name]
    given = {"n_images": n_images, "n_epochs": n_epochs, "seed": seed}
    recipe = make_recipe(
        **{key: value for key, value in given.items() if value is not None}
    )
    start = perf_counter()
    made = train(output, recipe=recipe)
    _say(console, f"{made.name}: trained in {(perf_counter() - start) / 60:.1f} minutes.")
    reached = ", ".join(f"{what} {100 * v:.1f} %" for what, v in made.accuracies.items())
    _say(console, f"Accuracy on fresh pictures: {reached}.")
    _say(console, f"{made.weights} ({made.n_bytes:,} bytes, SHA-256 {made.sha256[:16]})")
    _say(console, _compare(made, output))
    return made


def _compare(made: ShippedModel, output: Path) -> str:
    shipped = data_folder() / "weights" / made.weights.relative_to(output)
    if not shipped.is_file():
        return "The course ships no file of this name yet."
    if hashlib.sha256(shipped.read_bytes()).hexdigest() == made.sha256:
        return "Byte for byte what the course ships."
    return (
        f"Other bytes than the course ships. To ship these, copy them to {shipped.parent}."
    )


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
