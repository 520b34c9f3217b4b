"""Checkpoint files: whole or refused, the last, the one before and the best."""

import pickle
import shutil

import pytest
import torch
from torch import nn

from coursekit.datasets import make_loader
from coursekit.errors import SettingsError, TrainingError
from coursekit.training import Callback, Checkpoint, Trainer, TrainSettings
from coursekit.training.checkpoints import read_checkpoint, write_checkpoint

QUIET = TrainSettings(progress_bar=False)


def loader():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(12, 5, generator=generator)
    return make_loader((inputs, torch.arange(12) % 3), batch_size=4, shuffle=True, seed=0)


def build_trainer(checkpoint, **options):
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    return Trainer(
        model, optimizer=optimizer, checkpoint=checkpoint, settings=QUIET, **options
    )


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_one_flipped_bit_anywhere_is_noticed(tmp_path, share):
    path = tmp_path / "a.pt"
    write_checkpoint(path, {"weights": torch.rand(200), "epoch": 3})
    flip(path, int(share * path.stat().st_size))
    with pytest.raises(TrainingError, match=r"a\.pt is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("n_bytes", [0, 1, 100, 1500])
def test_a_part_of_a_file_is_noticed(tmp_path, n_bytes):
    path = tmp_path / "a.pt"
    write_checkpoint(path, {"weights": torch.rand(200)})
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(TrainingError, match=rf"damaged \({n_bytes} bytes"):
        read_checkpoint(path)


def test_what_was_written_is_read(tmp_path):
    state = {
        "weights": torch.rand(4, dtype=torch.bfloat16),
        "rows": [{"loss": 0.1}],
        "n": (1, 2),
    }
    write_checkpoint(tmp_path / "a.pt", state)
    read = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read.pop("weights"), state.pop("weights"))
    assert read == state
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (pytest.fail, ("code of the file was run",))

    write_checkpoint(tmp_path / "a.pt", {"epoch": Harmful()})
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_damaged_last_falls_back_to_the_one_before(tmp_path):
    truth = build_trainer(Checkpoint(tmp_path / "truth")).fit(loader(), n_epochs=3)
    checkpoint = Checkpoint(tmp_path / "run")
    build_trainer(checkpoint).fit(loader(), n_epochs=2)
    flip(checkpoint.path("last"), 1000)
    resumed = build_trainer(checkpoint)
    with pytest.warns(UserWarning, match=r"last\.pt is damaged.*goes on from previous\.pt"):
        history = resumed.fit(loader(), n_epochs=3, resume=True)
    assert history.step_losses.tolist() == truth.step_losses.tolist()


def test_a_missing_last_falls_back_without_ado(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    build_trainer(checkpoint).fit(loader(), n_epochs=2)
    checkpoint.path("last").unlink()  # as when killed between the two renamings
    assert checkpoint.load()["position"]["epoch"] == 2


def test_when_all_are_damaged_the_error_says_what_to_do(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    build_trainer(checkpoint).fit(loader(), n_epochs=2)
    for name in ("last", "previous"):
        checkpoint.path(name).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="delete the folder to start anew"):
        build_trainer(checkpoint).fit(loader(), n_epochs=3, resume=True)


def test_the_best_epoch_is_kept(tmp_path):
    class Watch(Callback):
        def __init__(self):
            self.weights = []

        def on_epoch_end(self, trainer, **kwargs):
            self.weights.append(trainer.model.weight.detach().clone())

    watch, checkpoint = Watch(), Checkpoint(tmp_path, monitor="epoch", mode="min")
    build_trainer(checkpoint, callbacks=[watch]).fit(loader(), n_epochs=3)
    assert torch.equal(checkpoint.load_best()["weight"], watch.weights[0])
    checkpoint = Checkpoint(tmp_path, monitor="val_loss")
    trainer = build_trainer(checkpoint, callbacks=[watch := Watch()])
    losses = trainer.fit(loader(), validation=loader(), n_epochs=4).column("val_loss")
    assert torch.equal(
        checkpoint.load_best()["weight"], watch.weights[losses.index(min(losses))]
    )


def test_a_new_training_replaces_the_files_of_an_earlier_one(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    build_trainer(checkpoint).fit(loader(), n_epochs=3)
    build_trainer(checkpoint).fit(loader(), n_epochs=1)
    assert checkpoint.load()["position"]["epoch"] == 2
    assert not checkpoint.path("previous").exists()
    assert read_checkpoint(checkpoint.path("best"))["row"]["epoch"] == 1


def test_a_full_disk_leaves_the_checkpoint_before_untouched(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path)
    build_trainer(checkpoint).fit(loader(), n_epochs=1)
    before = checkpoint.path("last").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coursekit.training.checkpoints.os.fsync", full)
    with pytest.raises(TrainingError, match=r"No space left.*is untouched\. Make room"):
        build_trainer(checkpoint).fit(loader(), n_epochs=2, resume=True)
    assert checkpoint.path("last").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_best_that_was_never_written_is_explained(tmp_path):
    with pytest.raises(TrainingError, match="no best epoch yet"):
        Checkpoint(tmp_path).load_best()


def test_a_column_that_is_not_there_is_explained(tmp_path):
    trainer = build_trainer(Checkpoint(tmp_path, monitor="val_accuracy"))
    with pytest.raises(
        SettingsError, match=r"no 'val_accuracy', only epoch, loss, accuracy"
    ):
        trainer.fit(loader(), n_epochs=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"every_n_steps": 0}, "at least 1"), ({"mode": "best"}, "'min', 'max' or None")],
)
def test_impossible_checkpoints_are_refused(options, words):
    with pytest.raises(SettingsError, match=words):
        Checkpoint("folder", **options)


def test_a_checkpoint_can_be_moved(tmp_path):
    build_trainer(Checkpoint(tmp_path / "a")).fit(loader(), n_epochs=1)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert Checkpoint(tmp_path / "b").load()["position"]["epoch"] == 2
