"""PerImage against torchvision's functions, against its own laws, and when misused."""

import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError, SettingsError, ShapeError
from coursekit.seeds import seeded
from coursekit.transforms import PerImage, RandomQuarterTurn, RandomShift, SaltAndPepper

BILINEAR = InterpolationMode.BILINEAR
RANDOM = {
    "flip": v2.RandomHorizontalFlip(),
    "rotation": v2.RandomRotation(90),
    "affine": v2.RandomAffine(30, (0.2, 0.2), interpolation=BILINEAR),
    "crop": v2.RandomCrop(16, padding=4),
    "resized crop": v2.RandomResizedCrop(16),
    "jitter": v2.ColorJitter(0.5, 0.5, 0.5),
    "blur": v2.GaussianBlur(5),
    "erasing": v2.RandomErasing(1.0),
    "apply": v2.RandomApply([v2.RandomInvert(1.0)], 0.5),
    "choice": v2.RandomChoice([v2.RandomInvert(1.0), v2.RandomVerticalFlip(1.0)]),
    "quarter turn": RandomQuarterTurn(),
    "shift": RandomShift(3),
    "salt and pepper": SaltAndPepper(0.3),
    "one by one": v2.RandomPerspective(p=1.0),
    "chain": [v2.RandomHorizontalFlip(), v2.ColorJitter(0.3), v2.RandomRotation(20)],
}


def draw(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def apply(transform, images, *, seed=0):
    with seeded(seed, "test"):
        return PerImage(transform)(images)


def fixed_transforms():
    """Transforms whose ranges are single numbers: nothing is left to chance."""
    for angle in (-170.0, -33.3, 0.0, 15.0, 45.0, 120.0):
        yield v2.RandomRotation((angle, angle), BILINEAR)
        yield v2.RandomRotation((angle, angle), fill=0.4)
        yield v2.RandomRotation((angle, angle), BILINEAR, center=(3, 9), fill=[0, 0.5, 1])
    for scale, shear in ((0.6, (13, 13, -21, -21)), (1.3, (-30, -30, 5, 5))):
        yield v2.RandomAffine((25, 25), scale=(scale, scale), shear=shear)
        yield v2.RandomAffine((25, 25), scale=(scale, scale), shear=shear, center=(1, 2))
    for shift in (-0.5, -0.4, -0.2, -0.05, 0.0, 0.11, 0.3, 0.45, 0.5):
        yield v2.ColorJitter(hue=(shift, shift))
    for factor in (0.0, 0.3, 1.0, 1.7):
        yield v2.ColorJitter(brightness=(factor, factor))
        yield v2.ColorJitter(contrast=(factor, factor))
        yield v2.ColorJitter(saturation=(factor, factor))
    for sigma, size in ((0.2, 3), (1.1, 5), (3.0, (9, 5)), (1.0, 1)):
        yield v2.GaussianBlur(size, (sigma, sigma))
    yield v2.RandomHorizontalFlip(1.0)
    yield v2.RandomVerticalFlip(1.0)
    yield v2.RandomGrayscale(1.0)
    yield v2.RandomInvert(1.0)
    yield v2.RandomErasing(0.0)
    yield v2.RandomCrop((13, 11))


@pytest.mark.parametrize("shape", [(5, 3, 13, 11), (2, 3, 100, 110)], ids=str)
def test_without_chance_it_does_what_torchvision_does(shape):
    images = draw(*shape)
    images[0, :, :4, :4] = 0.5  # gray, where hue and saturation have no meaning
    images[0, :, 4:6, :4] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    for transform in fixed_transforms():
        if isinstance(transform, v2.RandomCrop) and shape[-1] > 11:
            continue
        made, expected = PerImage(transform)(images), transform(images)
        is_off = (made - expected).abs() > 1e-4  # at an edge a last digit can decide
        turns = hasattr(transform, "degrees")
        assert is_off.double().mean() <= (0.01 if turns else 0), transform


@pytest.mark.parametrize("size", [(8, 10), (110, 120)], ids=str)
@pytest.mark.parametrize("antialias", [True, False])
def test_a_resized_crop_is_one_that_torchvision_could_make(size, antialias):
    images = draw(20, 3, *size)
    zoom = v2.RandomResizedCrop((7, 6), (0.5, 0.5), (1.0, 1.0), antialias=antialias)
    side = round((0.5 * size[0] * size[1]) ** 0.5)
    for image, made in zip(images[:4], apply(zoom, images)[:4], strict=True):
        could_be = [
            v2.functional.resized_crop(
                image, top, left, side, side, [7, 6], antialias=antialias
            )
            for top in range(size[0] - side + 1)
            for left in range(size[1] - side + 1)
        ]
        assert min((made - other).abs().max() for other in could_be) < 1e-5


def test_a_crop_is_one_of_the_windows_and_every_window_comes():
    image = torch.arange(36.0).reshape(1, 6, 6) / 36
    windows = apply(v2.RandomCrop(4), image.expand(400, -1, -1, -1))
    corners = {round(36 * window[0, 0, 0].item()) for window in windows}
    assert corners == {6 * row + column for row in range(3) for column in range(3)}
    for window in windows[:20]:
        row, column = divmod(round(36 * window[0, 0, 0].item()), 6)
        assert torch.equal(window, image[:, row : row + 4, column : column + 4])


@pytest.mark.parametrize("name", RANDOM)
def test_images_of_a_batch_have_draws_of_their_own(name):
    batch = draw(3, 16, 16).expand(24, -1, -1, -1)
    made = apply(RANDOM[name], batch)
    assert len(made.flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_decides_and_the_input_is_left_alone(name):
    batch = draw(12, 3, 16, 16)
    kept = batch.clone()
    first, again = (apply(RANDOM[name], batch, seed=5) for _ in range(2))
    other = apply(RANDOM[name], batch, seed=6)
    assert torch.equal(batch, kept)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("name", RANDOM)
def test_shape_and_type_are_kept(name, dtype, channels):
    batch = draw(5, channels, 16, 16)
    batch = (batch * 255).to(dtype) if dtype == torch.uint8 else batch.to(dtype)
    for images in (batch, batch[0], tv_tensors.Image(batch)):
        made = apply(RANDOM[name], images)
        assert (made.shape, made.dtype) == (images.shape, dtype)
        assert type(made) is type(images)
        if dtype != torch.uint8:
            assert -1e-6 <= made.min() <= made.max() <= 1 + 1e-6


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", [n for n in RANDOM if n != "erasing"])
def test_a_pil_image_stays_one(name, mode):
    made = apply(RANDOM[name], Image.new(mode, (16, 16), 100))
    assert isinstance(made, Image.Image)
    assert (made.mode, made.size) == (mode, (16, 16))


def test_bytes_are_computed_as_floats_and_rounded_once():
    pixels = (draw(6, 3, 16, 16) * 255).to(torch.uint8)
    chain = [v2.ColorJitter(0.3, 0.3), v2.GaussianBlur(3)]
    as_bytes, as_floats = apply(chain, pixels), apply(chain, pixels / 255)
    assert torch.equal(as_bytes, (as_floats * 255).round().to(torch.uint8))


def test_bytes_become_floats_where_the_chain_says_so():
    pixels = (draw(2, 3, 8, 8) * 255).to(torch.uint8)
    made = PerImage([v2.ToDtype(torch.float32, scale=True), v2.Identity()])(pixels)
    torch.testing.assert_close(made, pixels / 255)


def test_labels_come_out_as_they_went_in():
    labels = torch.arange(6)
    images, same, name = PerImage(v2.RandomInvert(1.0))(draw(6, 3, 8, 8), labels, "x")
    assert same is labels
    assert name == "x"
    assert images.shape == (6, 3, 8, 8)


def test_gray_images_keep_their_look_under_changes_of_color():
    batch = draw(4, 1, 8, 8)
    assert torch.equal(apply(v2.ColorJitter(saturation=0.9, hue=0.5), batch), batch)
    assert torch.equal(apply(v2.RandomGrayscale(1.0), batch), batch)


def test_hue_keeps_the_smallest_and_the_largest_channel():
    batch = draw(8, 3, 9, 9)
    made = apply(v2.ColorJitter(hue=0.5), batch)
    torch.testing.assert_close(made.amax(1), batch.amax(1))
    torch.testing.assert_close(made.amin(1), batch.amin(1))


@pytest.mark.parametrize("layout", ["channels last", "expanded", "strided"])
def test_the_layout_in_memory_does_not_matter(layout):
    batch = draw(4, 3, 12, 12)
    other = {
        "channels last": batch.to(memory_format=torch.channels_last),
        "expanded": batch[:1].expand(4, -1, -1, -1),
        "strided": torch.stack([batch, batch], dim=4)[..., 0],
    }[layout]
    chain = [v2.RandomRotation(40), v2.ColorJitter(0.3, 0.3, 0.3, 0.3), v2.GaussianBlur(3)]
    assert torch.equal(apply(chain, other), apply(chain, other.contiguous()))


def test_large_images_are_distributed_as_small_ones_are():
    """They are computed one by one, with the same draws."""
    jitter = v2.ColorJitter((0.2, 0.9))
    small, large = (apply(jitter, torch.ones(9, 3, s, s)) for s in (8, 128))
    torch.testing.assert_close(small.amax((1, 2, 3)), large.amax((1, 2, 3)))


def test_an_empty_batch_stays_empty():
    assert apply(RANDOM["chain"], torch.zeros(0, 3, 16, 16)).shape == (0, 3, 16, 16)


def test_a_function_of_one_image_is_called_for_each():
    seen = []

    def note(image):
        seen.append(image.shape)
        return 1 - image

    batch = draw(3, 1, 4, 4)
    torch.testing.assert_close(PerImage(note)(batch), 1 - batch)
    assert seen == [(1, 4, 4)] * 3


def test_a_subclass_is_not_taken_for_its_parent():
    class Never(v2.RandomHorizontalFlip):
        def transform(self, inpt, params):
            return inpt

    batch = draw(8, 3, 4, 4)
    assert torch.equal(apply(Never(1.0), batch), batch)


def test_the_batches_of_a_loader_are_a_function_of_its_seed_and_differ_by_epoch():
    data = (draw(10, 3, 16, 16), torch.arange(10))
    loader = make_loader(data, batch_size=4, seed=3, transform=PerImage(RANDOM["chain"]))
    epochs = [torch.cat([x for x, _ in loader.batches(e)]) for e in (0, 0, 1)]
    labels = torch.cat([y for _, y in loader.batches(0)])
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])
    assert torch.equal(labels, data[1])


@pytest.mark.parametrize("n_workers", [0, 1])
def test_images_of_different_sizes_come_out_in_one_size_if_the_chain_ends_so(n_workers):
    sizes = [(20, 30), (40, 25), (33, 33)]
    images = [(draw(h, w, 3) * 255).to(torch.uint8).numpy() for h, w in sizes]
    lazy = ImageSet(images=images, labels=[0, 0, 0], class_names=("a",))
    chain = PerImage([v2.RandomResizedCrop(16), v2.ColorJitter(0.2)])
    loader = make_loader(lazy, batch_size=3, seed=0, transform=chain, n_workers=n_workers)
    (batch, _), (again, _) = *loader.batches(0), *loader.batches(0)
    assert batch.shape == (3, 3, 16, 16)
    assert torch.equal(batch, again)
    with pytest.raises(ShapeError, match=r"got 3 sizes .* a transform that resizes"):
        list(make_loader(lazy, batch_size=3, transform=PerImage(v2.RandomRotation(9))))


def test_images_that_come_out_in_different_sizes_are_refused():
    def cut(image):
        return image[:, : 2 + int(image[0, 0, 0] > 0.5)]

    batch = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    with pytest.raises(ShapeError, match=r"keep one size.*\(1, 2, 4\) and \(1, 3, 4\)"):
        PerImage(cut)(batch)
    some = v2.RandomApply([v2.CenterCrop(4)], p=0.5)
    with pytest.raises(ShapeError, match="keep one size"):
        apply(some, torch.zeros(16, 3, 8, 8))


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([torch.zeros(3, 4, 4)], ShapeError, "got list"),
        (torch.zeros(4, 4), ShapeError, r"\(4, 4\)"),
        (torch.zeros(2, 2, 3, 4, 4), ShapeError, "PerImage takes a batch"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int64), DataError, r"int64.*float\(\) / 255"),
    ],
)
def test_what_is_no_image_is_refused(images, error, words):
    with pytest.raises(error, match=words):
        PerImage(v2.RandomInvert())(images)


@pytest.mark.parametrize(
    ("transform", "shape", "words"),
    [
        (v2.ColorJitter(0.5), (2, 4, 8, 8), "1 or 3 channels.*permute"),
        (v2.RandomCrop(9), (2, 3, 8, 8), "9 x 9 pixels.*got 8 x 8.*pad_if_needed"),
        (v2.GaussianBlur(23), (2, 3, 8, 8), "larger images, got 8 x 8"),
        (v2.RandomErasing(1.0, value=[1, 2]), (2, 3, 8, 8), "1 number or 3"),
        (RandomQuarterTurn(), (2, 3, 8, 6), "square images only, got 8 x 6"),
        (RandomShift(8), (2, 3, 8, 8), "Lower max_pixels"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_images_that_a_transform_cannot_take_are_refused(transform, shape, words):
    with pytest.raises(ShapeError, match=words):
        apply(transform, torch.zeros(shape))


def test_changes_of_brightness_after_normalizing_are_refused():
    late = [v2.Normalize([0.5], [0.5]), v2.ColorJitter(0.5)]
    with pytest.raises(SettingsError, match=r"ColorJitter .* after Normalize.*last"):
        PerImage(late)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(SettingsError, match="got str"):
        PerImage(["flip"])


def test_its_text_names_the_transforms():
    assert "RandomInvert(p=0.5)" in str(PerImage(v2.Compose([v2.RandomInvert()])))
