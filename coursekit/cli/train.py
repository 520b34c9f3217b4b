"""``coursekit train``: make the weights that the course ships anew."""

import hashlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter

from rich.console import Console

from coursekit.assets import data_folder
from coursekit.cli.notebooks import print_plain
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
    """Train with the recipe's settings, or others; write the files; print what was reached."""
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
    print_plain(
        console, f"{made.name}: trained in {(perf_counter() - start) / 60:.1f} minutes."
    )
    reached = ", ".join(f"{what} {100 * v:.1f} %" for what, v in made.accuracies.items())
    print_plain(console, f"Accuracy on fresh pictures: {reached}.")
    print_plain(
        console, f"{made.weights} ({made.n_bytes:,} bytes, SHA-256 {made.sha256[:16]})"
    )
    shipped = data_folder() / "weights" / made.weights.relative_to(output)
    said = (
        f"Other bytes than the course ships. To ship these, copy them to {shipped.parent}."
    )
    if not shipped.is_file():
        said = "The course ships no file of this name yet."
    elif hashlib.sha256(shipped.read_bytes()).hexdigest() == made.sha256:
        said = "Byte for byte what the course ships."
    print_plain(console, said)
    return made
