"""Mistakes inside cells that train: a measured range, or an assert of the lesson, finds them."""

from copy import deepcopy
from pathlib import Path

import pytest

from coursekit.cli.notebooks import compare_run
from coursekit.nbtest.cells import code_cells, read_notebook
from coursekit.nbtest.run import execute_notebook

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "notebooks"

# Lesson, what is replaced, by what, and the number of code cells that are run.
MUTANTS = {
    "a rate ten times too small": ("01", "lr=2e-3)\n    trainers[key]",
        "lr=2e-4)\n    trainers[key]", 64),
    "labels shifted by one": ("01", "train_loader = datasets",
        "train_digits.labels[:] = (train_digits.labels + 1) % 10\ntrain_loader = datasets", 64),
    "training images in order": ("01", "shuffle=True, seed=SEED)\ntest",
        "shuffle=False)\ntest", 64),
    "skips where there are none": ("02", "skip=skip, width=8",
        "skip=not skip, width=8", 43),
    "training images not normalized": ("04", "[*changes, normalize]",
        "[*changes]", 37),
    "augmentation on the test part": ("05", "preset.train if is_training else preset.evaluation",
        "preset.train", 16),
    "a frozen layer that trains": ("05", "report = training.freeze(one_layer)",
        "report = training.freeze(one_layer)\n_ = training.unfreeze(one_layer)", 17),
    "a backbone without its weights": ("05", "one_layer = models.replace_head(backbone,",
        "one_layer = models.replace_head(models.build_untrained(backbone, seed=SEED),", 17),
    "trained on the validation part": ("05", 'train, validation = loaders["train"]',
        'train, validation = loaders["validation"]', 16),
    "tested in training mode": ("06", "    network.eval()\n",
        "    network.train()\n", 36),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_in_a_training_is_found(name, tmp_path):
    lesson, old, new, n_cells = MUTANTS[name]
    path = next(FOLDER.glob(f"{lesson}_*.ipynb"))
    stored = read_notebook(path)
    last = stored.cells.index(code_cells(stored)[n_cells - 1])
    stored.cells = stored.cells[: last + 1]
    mutant = deepcopy(stored)
    changed = [cell for cell in code_cells(mutant) if old in cell.source]
    assert len(changed) == 1, f"{old!r} stands in {len(changed)} cells"
    changed[0].source = changed[0].source.replace(old, new)
    run = execute_notebook(mutant, folder=path.parent, timeout=300)
    assert run.failure or compare_run(stored, run, name=name, folder=tmp_path)
