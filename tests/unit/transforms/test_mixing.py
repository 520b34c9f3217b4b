"""MixUp, CutMix and mixed loaders: label arithmetic, pairs, seeds, and training with them."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from coursekit.datasets import make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import seeded
from coursekit.training import Trainer, TrainSettings
from coursekit.transforms import CutMix, MixUp, mix_batches


def numbered(n_images, size=8):
    """Image i is i / n everywhere, so that what it was mixed of can be read."""
    labels = torch.arange(n_images)
    images = (labels / n_images)[:, None, None, None].expand(-1, 3, size, size).clone()
    return images, labels


def mixed(mix, images, labels, *, seed=0):
    with seeded(seed, "mix"):
        return mix(images, labels)


@pytest.mark.parametrize("mix", [MixUp, CutMix])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_sum_to_one_and_name_at_most_two_classes(mix, alpha, seed):
    _, given = mixed(mix(n_classes=12, alpha=alpha), *numbered(12), seed=seed)
    torch.testing.assert_close(given.sum(1), torch.ones(12))
    assert given.min() >= 0
    assert ((given > 0).sum(1) <= 2).all()
    assert given.dtype == torch.float32


def test_mixup_blends_pixels_by_the_shares_of_the_labels():
    images, labels = numbered(16)
    made, given = mixed(MixUp(n_classes=16, alpha=1.0), images, labels)
    expected = given @ (labels / 16)  # a blend of the two constants
    torch.testing.assert_close(made, expected[:, None, None, None].expand_as(made))
    assert (given.max(1).values < 0.999).any()


def test_cutmix_pastes_one_box_and_labels_follow_its_pixels():
    images, labels = numbered(16, size=10)
    made, given = mixed(CutMix(n_classes=16), images, labels)
    for number, image in enumerate(made):
        values, counts = image[0].unique(return_counts=True)
        assert len(values) <= 2
        for value, count in zip(values, counts, strict=True):
            assert given[number, round(16 * value.item())].item() == pytest.approx(
                count.item() / 100, abs=1e-6
            )
        is_box = image[0] != images[number, 0]
        rows, columns = is_box.any(1), is_box.any(0)
        assert is_box.sum() == rows.sum() * columns.sum()  # a full rectangle


@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_the_mean_share_that_is_kept_is_that_of_torchvision(mix):
    images, labels = numbered(400, size=16)
    kept = mixed(mix(n_classes=400, alpha=1.0), images, labels)[1].diagonal()
    other = {MixUp: v2.MixUp, CutMix: v2.CutMix}[mix](num_classes=8, alpha=1.0)
    few = numbered(8, size=16)
    theirs = torch.stack([mixed(other, *few, seed=s)[1][0, 0] for s in range(400)])
    error = (kept.var() / 400 + theirs.var() / 400).sqrt()
    assert abs(kept.mean() - theirs.mean()) < 4 * error


@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_p_is_the_share_of_images_that_are_mixed(mix):
    images, labels = numbered(300)
    assert torch.equal(mixed(mix(n_classes=300, p=0.0), images, labels)[0], images)
    made, _ = mixed(mix(n_classes=300, p=0.4, alpha=5.0), images, labels)
    assert 0.3 < (made != images).flatten(1).any(1).double().mean() < 0.5


@pytest.mark.parametrize("mix", [MixUp(n_classes=6), CutMix(n_classes=6)])
def test_the_input_is_left_alone_and_a_seed_decides(mix):
    images, labels = numbered(6)
    kept = images.clone(), labels.clone()
    first, again, other = (mixed(mix, images, labels, seed=s) for s in (1, 1, 2))
    assert torch.equal(images, kept[0])
    assert torch.equal(labels, kept[1])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_probabilities_can_be_mixed_again():
    images, labels = numbered(6)
    images, once = mixed(MixUp(n_classes=6), images, labels)
    _, twice = mixed(CutMix(n_classes=6), images, once, seed=3)
    torch.testing.assert_close(twice.sum(1), torch.ones(6))


@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_a_torch_loader_collates_with_it(mix):
    data = TensorDataset(*numbered(10))
    loader = DataLoader(data, batch_size=4, collate_fn=mix(n_classes=10).collate)
    batches = list(loader)
    assert [tuple(given.shape) for _, given in batches] == [(4, 10), (4, 10), (2, 10)]
    assert all(torch.allclose(given.sum(1), torch.ones(len(given))) for _, given in batches)


@pytest.mark.parametrize("mix", [MixUp(n_classes=10), v2.CutMix(num_classes=10)])
def test_a_mixed_loader_is_a_function_of_seed_epoch_and_batch(mix):
    loader = mix_batches(make_loader(numbered(10), batch_size=4, shuffle=True, seed=5), mix)
    assert len(loader) == 3
    epochs = [list(loader.batches(epoch)) for epoch in (0, 0, 1)]
    late = list(loader.batches(0, start=2))
    assert torch.equal(epochs[0][2][0], late[0][0])
    for (x, y), (x2, y2) in zip(epochs[0], epochs[1], strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
    assert not torch.equal(epochs[0][0][1], epochs[2][0][1])


@pytest.mark.parametrize("n_processes", [2, 3])
def test_processes_share_the_mixed_batches_without_changing_them(n_processes):
    loader = mix_batches(
        make_loader(numbered(10), batch_size=4, shuffle=True, seed=5), MixUp(n_classes=10)
    )
    shares = [
        list(loader.batches(1, rank=rank, n_processes=n_processes))
        for rank in range(n_processes)
    ]
    for number, (images, labels) in enumerate(loader.batches(1)):
        assert torch.equal(torch.cat([s[number][0] for s in shares]), images)
        assert torch.equal(torch.cat([s[number][1] for s in shares]), labels)


@pytest.mark.parametrize("metrics", [("accuracy",), ("accuracy", "top5_accuracy")])
def test_the_trainer_learns_from_mixed_batches_and_validates_on_plain_ones(metrics):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.rand(60, 3, 4, 4, generator=generator) * 0.5
    images[torch.arange(60), labels] += 0.5
    plain = make_loader((images, labels), batch_size=20, shuffle=True, seed=0)
    with seeded(0, "model"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    trainer = Trainer(
        model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.05),
        metrics=metrics,
        settings=TrainSettings(progress_bar=False),
    )
    loader = mix_batches(plain, MixUp(n_classes=3))
    history = trainer.fit(loader, validation=plain, n_epochs=15)
    assert history.column("val_accuracy")[-1] == 1.0
    assert history.column("loss")[-1] > history.column("val_loss")[-1]  # mixed are harder


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_classes": 0}, "n_classes .* got 0"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"p": 1.5}, "p must be between 0 and 1, got 1.5"),
        ({"p": -0.5}, "p must be between 0 and 1, got -0.5"),
    ],
)
@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_settings_out_of_range_are_refused(mix, settings, words):
    with pytest.raises(SettingsError, match=words):
        mix(**{"n_classes": 3, **settings})


@pytest.mark.parametrize(
    ("images", "labels", "error", "words"),
    [
        (torch.zeros(4, 3, 8), torch.zeros(4).long(), ShapeError, r"\(4, 3, 8\)"),
        (torch.zeros(4, 3, 8, 8), torch.zeros(3).long(), ShapeError, r"\(3,\)"),
        (torch.zeros(4, 3, 8, 8), torch.zeros(4, 2), ShapeError, r"\(n_images, 3\)"),
        (torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]), DataError, "0 .. 3"),
        (
            torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
            torch.zeros(4).long(),
            DataError,
            r"uint8.*float\(\) / 255",
        ),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, error, words):
    with pytest.raises(error, match=words):
        MixUp(n_classes=3)(images, labels)


def test_images_of_mixed_sizes_are_refused_with_the_remedy():
    samples = [(torch.zeros(3, 4, 4), 0), (torch.zeros(3, 5, 4), 1)]
    with pytest.raises(
        ShapeError, match=r"2 sizes from \(3, 4, 4\) to \(3, 5, 4\).*Resize"
    ):
        CutMix(n_classes=2).collate(samples)


def test_a_torch_loader_is_told_to_collate():
    with pytest.raises(DataError, match=r"DataLoader.*collate_fn"):
        mix_batches(DataLoader(TensorDataset(*numbered(4))), MixUp(n_classes=4))
