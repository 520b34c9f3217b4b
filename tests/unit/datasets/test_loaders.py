"""make_loader: order and augmentation are functions of (seed, epoch), nothing else."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError, SettingsError, ShapeError


class Reading(Sequence):
    """Images that are made when asked for; notes which were."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index]


def image_set(n_images=10, *, lazy=False):
    images = np.random.default_rng(0).integers(0, 256, (n_images, 4, 5, 3), dtype=np.uint8)
    labels = np.arange(n_images) % 3
    return ImageSet(
        images=Reading(images) if lazy else images,
        labels=labels,
        class_names=("a", "b", "c"),
    )


def noisy(images):
    """Draw from all three generators."""
    noise = torch.rand(images.shape) + float(np.random.rand()) + random.random()
    return images + noise


def all_batches(loader, epoch=0, **share):
    return [(x.clone(), y.clone()) for x, y in loader.batches(epoch, **share)]


def assert_same(first, second):
    assert len(first) == len(second)
    for (x, y), (x2, y2) in zip(first, second, strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)


def random_states():
    return torch.get_rng_state().tolist(), np.random.get_state()[2], random.getstate()


@pytest.mark.parametrize("lazy", [False, True])
def test_batches_are_the_set_in_order(lazy):
    data = image_set(lazy=lazy)
    batches = list(make_loader(data, batch_size=4))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    images, labels = image_set().to_tensors()
    assert torch.equal(torch.cat([x for x, _ in batches]), images)
    assert torch.equal(torch.cat([y for _, y in batches]), labels)
    assert batches[0][0].dtype == torch.float32
    assert batches[0][1].dtype == torch.int64
    assert batches[0][0].is_contiguous()


@pytest.mark.parametrize("lazy", [False, True])
def test_lengths_are_known(lazy):
    data = image_set(lazy=lazy)
    loader = make_loader(data, batch_size=4)
    assert (len(loader), loader.n_samples) == (3, 10)
    dropping = make_loader(data, batch_size=4, drop_last=True)
    assert len(dropping) == 2
    assert [len(y) for _, y in dropping] == [4, 4]


@pytest.mark.parametrize("lazy", [False, True])
def test_each_epoch_has_an_order_of_its_own_and_every_sample_once(lazy):
    loader = make_loader(image_set(lazy=lazy), batch_size=3, shuffle=True, seed=5)
    orders = [loader.order(epoch).tolist() for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)
    images, _ = image_set().to_tensors()
    seen = torch.cat([x for x, _ in loader.batches(2)])
    assert torch.equal(seen, images[orders[2]])


@pytest.mark.parametrize("lazy", [False, True])
def test_an_epoch_can_be_asked_for_twice(lazy):
    loader = make_loader(
        image_set(lazy=lazy), batch_size=3, shuffle=True, seed=5, transform=noisy
    )
    first = all_batches(loader, 1)
    assert_same(first, all_batches(loader, 1))
    assert not torch.equal(first[0][0], all_batches(loader, 2)[0][0])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("start", [1, 3, 4])
def test_starting_late_gives_the_rest_of_the_same_epoch(lazy, start):
    loader = make_loader(
        image_set(lazy=lazy), batch_size=3, shuffle=True, seed=5, transform=noisy
    )
    assert_same(all_batches(loader, 1)[start:], all_batches(loader, 1, start=start))


def test_starting_late_reads_nothing_before():
    data = image_set(lazy=True)
    list(make_loader(data, batch_size=3).batches(0, start=2))
    assert data.images.asked == [6, 7, 8, 9]


def test_the_number_of_workers_changes_nothing():
    loaders = [
        make_loader(
            image_set(lazy=True),
            batch_size=4,
            shuffle=True,
            seed=1,
            transform=noisy,
            n_workers=n,
        )
        for n in (0, 1, 2)
    ]
    truth = all_batches(loaders[0], 3)
    assert_same(truth, all_batches(loaders[1], 3))
    assert_same(truth, all_batches(loaders[2], 3))


def test_an_image_has_its_own_augmentation_wherever_it_comes():
    small = make_loader(image_set(lazy=True), batch_size=1, transform=noisy)
    large = make_loader(image_set(lazy=True), batch_size=10, transform=noisy)
    assert torch.equal(torch.cat([x for x, _ in small]), next(iter(large))[0])


def test_a_batch_in_memory_is_transformed_whole():
    shapes = []

    def note(images):
        shapes.append((tuple(images.shape), images.dtype, float(images.max()) <= 1))
        return images.flip(0)

    batches = list(make_loader(image_set(5), batch_size=4, transform=note))
    assert shapes == [
        ((4, 3, 4, 5), torch.float32, True),
        ((1, 3, 4, 5), torch.float32, True),
    ]
    assert torch.equal(batches[0][0], image_set(5).to_tensors()[0][:4].flip(0))


@pytest.mark.parametrize("lazy", [False, True])
def test_global_generators_are_left_alone(lazy):
    loader = make_loader(
        image_set(lazy=lazy), batch_size=4, shuffle=True, seed=0, transform=noisy
    )
    before = random_states()
    list(loader)
    assert random_states() == before


@pytest.mark.parametrize("lazy", [False, True])
def test_global_generators_do_not_matter(lazy):
    loader = make_loader(
        image_set(lazy=lazy), batch_size=4, shuffle=True, seed=0, transform=noisy
    )
    first = all_batches(loader)
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    assert_same(first, all_batches(loader))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("n_processes", [2, 3])
@pytest.mark.parametrize("transform", [None, noisy])
def test_shares_of_processes_make_up_the_batch(lazy, n_processes, transform):
    loader = make_loader(
        image_set(lazy=lazy), batch_size=4, shuffle=True, seed=2, transform=transform
    )
    truth = all_batches(loader, 1)
    shares = [
        all_batches(loader, 1, rank=rank, n_processes=n_processes)
        for rank in range(n_processes)
    ]
    joined = [
        (torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts]))
        for parts in zip(*shares, strict=True)
    ]
    assert_same(truth, joined)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_process_without_a_row_gets_an_empty_batch(lazy):
    loader = make_loader(image_set(5, lazy=lazy), batch_size=4)
    images, labels = all_batches(loader, rank=1, n_processes=2)[-1]
    assert images.shape == (0, 3, 4, 5)
    assert labels.shape == (0,)


def test_nobody_can_change_the_data_through_a_batch():
    inputs = torch.rand(4, 2)
    loader = make_loader((inputs, torch.arange(4)), batch_size=2)
    for batch, labels in loader:
        batch.zero_()
        labels.zero_()
    assert inputs.all()
    assert next(loader.batches(0, start=1))[1].tolist() == [2, 3]


def test_tensors_keep_their_values_and_uint8_is_brightness():
    floats = make_loader((torch.full((2, 3), 7.0), torch.arange(2)), batch_size=2)
    assert next(iter(floats))[0].max() == 7
    pixels = torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)
    assert next(iter(make_loader((pixels, torch.arange(2)), batch_size=2)))[0].max() == 1


def test_images_of_different_sizes_name_the_sizes_and_the_remedy():
    images = [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]
    data = ImageSet(images=images, labels=[0, 0], class_names=("a",))
    with pytest.raises(ShapeError, match=r"\(3, 4, 4\) to \(3, 5, 4\).*image_size="):
        list(make_loader(data, batch_size=2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2, "n_workers": -1}, "n_workers must be at least 0, got -1"),
        ({"batch_size": 2, "shuffle": True}, "needs a seed"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(SettingsError, match=words):
        make_loader(image_set(), **settings)


def test_data_of_another_kind_are_refused():
    with pytest.raises(DataError, match=r"got ndarray, Tensor"):
        make_loader((np.zeros(3), torch.zeros(3)), batch_size=2)
    with pytest.raises(ShapeError, match=r"got 3 and 4"):
        make_loader((torch.zeros(3, 1), torch.zeros(4)), batch_size=2)
