"""load_folder: layouts, every kind of file, and errors that name all that is wrong."""

import pickle
import unicodedata

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from coursekit.datasets import load_folder
from coursekit.datasets.folders import read_image
from coursekit.errors import DataError

RED = (250, 10, 10)


def save(path, color=RED, size=(12, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def fill(folder, *names):
    for name in names:
        save(folder / f"{name}.png")
    return folder


def noisy(size=(60, 40), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def pets(tmp_path):
    """Two classes with three images each, of different sizes."""
    for index, size in enumerate([(12, 8), (20, 30), (16, 16)]):
        for name, color in {"cat": RED, "dog": (10, 250, 10)}.items():
            save(tmp_path / "pets" / name / f"{index}.png", color, size)
    return tmp_path / "pets"


@pytest.fixture
def in_parts(tmp_path):
    files = ("train/{}/train0", "train/{}/train1", "train/{}/train2", "val/{}/val0")
    return fill(tmp_path / "parts", *(f.format(c) for f in files for c in ("ant", "bee")))


# --- layout


def test_the_same_files_and_labels_as_torchvisions_image_folder(pets):
    save(pets / "cat" / "deeper" / "LOUD.JPG")
    (pets / "dog" / "notes.txt").write_text("woof")
    theirs, ours = ImageFolder(pets), load_folder(pets)
    assert ours.class_names == tuple(theirs.classes)
    assert ours.is_lazy
    labels = {
        str(pets / f): n for f, n in zip(ours.attributes["file"], ours.labels, strict=True)
    }
    assert labels == dict(theirs.samples)
    for path, image in zip(labels, ours.images, strict=True):
        assert np.array_equal(image, np.array(theirs.loader(path)))


def test_a_size_and_channels_give_one_array(pets):
    assert load_folder(pets, image_size=10, channels=1).images.shape == (6, 10, 10, 1)
    assert np.all(load_folder(pets, image_size=10).images[0] == RED)
    assert load_folder(pets, channels=1).images[0].shape == (8, 12, 1)


def test_the_center_is_kept_and_an_image_of_the_asked_size_is_not_changed(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = np.asarray(noisy((10, 10)))
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    kept = read_image(tmp_path / "wide.png", image_size=10)
    assert np.array_equal(kept, pixels[:, 10:20])


def test_parts_are_chosen_by_name_and_the_only_other_part_serves_as_test(in_parts):
    fill(in_parts, "examples/one")
    train = load_folder(in_parts, part="train")
    assert (len(train), train.class_names) == (6, ("ant", "bee"))
    assert load_folder(in_parts, part="test").attributes["file"][0] == "ant/val0.png"
    (in_parts / "val").rename(in_parts / "Testing")
    assert len(load_folder(in_parts, part="val")) == 2
    fill(in_parts, "Testing/wasp/1")
    with pytest.raises(DataError, match=r"same classes.*wasp"):
        load_folder(in_parts, part="train")


def test_hidden_files_are_not_seen_and_links_are_followed(pets, tmp_path):
    fill(pets, ".ipynb_checkpoints/0", "__MACOSX/0")
    for name in ("cat/.DS_Store", "cat/._0.png", "dog/film.heic"):
        (pets / name).write_bytes(b"junk")
    (pets / "eel").symlink_to(fill(tmp_path / "elsewhere", "eel"), target_is_directory=True)
    found = load_folder(pets)
    assert found.names == ["cat"] * 3 + ["dog"] * 3 + ["eel"]
    assert found.card.endswith("Left out: film.heic.")


def test_two_spellings_of_a_name_are_one_class(tmp_path):
    words = (unicodedata.normalize(form, "k\u00e4fer/0") for form in ("NFD", "NFC"))
    found = load_folder(fill(tmp_path, "ant/0", *words))
    assert found.class_names == ("ant", "k\u00e4fer")
    assert found.labels.tolist() == [0, 1, 1]


def test_flat_makes_every_image_a_class_named_after_its_file(tmp_path):
    fill(tmp_path, "b/owl", "a.cat")
    assert load_folder(tmp_path, flat=True).class_names == ("a.cat", "owl")
    fill(tmp_path, "c/owl")
    names = load_folder(tmp_path, flat=True).class_names
    assert names == ("a.cat", "owl (b/owl.png)", "owl (c/owl.png)")


def test_imagenet_names_are_sorted_by_wnid_and_twins_stay_apart(tmp_path):
    fill(tmp_path, "n03126707_crane", "z/n01440764_tench", "n02012849_crane")
    image_set = load_folder(tmp_path, flat=True)
    assert image_set.class_names == ("tench", "crane (n02012849)", "crane (n03126707)")
    assert image_set.attributes["file"][0] == "z/n01440764_tench.png"


# --- every kind of image


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_a_16_bit_image_is_scaled_not_clipped(tmp_path, kind):
    levels, path = np.array([[0, 257, 25700, 65535]], np.uint16), tmp_path / f"deep.{kind}"
    if kind == "pgm":
        path.write_bytes(b"P5 4 1 65535\n" + levels.astype(">u2").tobytes())
    else:
        Image.fromarray(levels).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 2), (100, 100, 100, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.convert(mode).save(tmp_path / "clear.png")
    pixels = read_image(tmp_path / "clear.png")
    assert pixels[0, 0].min() == 255
    assert np.abs(pixels[1].astype(int) - 100).max() <= 6  # a palette is coarse


@pytest.mark.parametrize("turned", [None, (6, "ROTATE_90"), (8, "ROTATE_270")])
def test_a_turned_photograph_is_shown_upright(tmp_path, turned):
    upright = Image.new("RGB", (40, 24), (0, 0, 0))
    upright.paste((255, 255, 255), (0, 0, 16, 8))  # a light corner: up and left
    stored, exif = upright, Image.Exif()
    if turned:
        exif[0x0112] = turned[0]
        stored = upright.transpose(Image.Transpose[turned[1]])
    stored.save(tmp_path / "photo.jpg", exif=exif)
    pixels = read_image(tmp_path / "photo.jpg").astype(int)
    assert np.abs(pixels - np.asarray(upright)).max() < 40


def test_inks_damaged_notes_wrong_suffixes_and_telephones_do_not_matter(tmp_path):
    path, photo = tmp_path / "a.jpg", noisy()
    ink = save(tmp_path / "ink.jpg", (0, 255, 255, 0), mode="CMYK", quality=95)
    assert np.all(abs(read_image(ink)[4, 4].astype(int) - [255, 0, 0]) < 12)
    photo.save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert read_image(path).shape == (40, 60, 3)
    photo.save(path, format="PNG")
    assert np.array_equal(read_image(path), np.asarray(photo))
    photo.save(path, format="MPO", save_all=True, append_images=[photo])
    assert read_image(path).shape == (40, 60, 3)


# --- what cannot be used


def truncated(path):
    noisy().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD_FILES = {
    "text.png": (lambda path: path.write_text("I am no image"), "cannot identify"),
    "cut.jpg": (truncated, "truncated"),
    "float.tiff": (lambda path: Image.new("F", (4, 4)).save(path), "32-bit"),
    "long.tiff": (lambda path: Image.new("I", (4, 4)).save(path), "32-bit"),
}


@pytest.mark.parametrize("image_size", [None, 16])
def test_all_bad_files_stand_in_one_message(pets, image_size):
    for name, (make, _) in BAD_FILES.items():
        make(pets / "dog" / name)
    with pytest.raises(DataError) as caught:
        load_folder(pets, image_size=image_size)
    first, *lines, _ = str(caught.value).split("\n")
    assert first.startswith(f"{len(BAD_FILES)} of the files in ")
    for line, name in zip(lines, sorted(BAD_FILES), strict=True):
        assert line.startswith(f"- dog/{name}: ")
        assert BAD_FILES[name][1] in line


def test_lazy_images_can_be_pickled(pets):
    image_set = load_folder(pets)
    images = pickle.loads(pickle.dumps(image_set.images))  # noqa: S301 - our own bytes
    assert np.array_equal(images[-1], image_set.images[5])


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ([], {}, r"does not exist or is no folder"),
        (["1.png"], {}, "are: none.*flat=True"),
        (
            ["data/cat/1.png", "data/dog/1.png"],
            {},
            "are: data: 2.*in which they are sorted",
        ),
        (["cat/1.png", "dog/film.heic"], {}, "are: cat: 1, dog: 0"),
        (["train/a.png", "test/a.png"], {}, "parts: test, train; got part=None"),
        (["a/1.png", "b/1.png"], {"part": "train"}, "parts: none; got part='train'"),
        (["film.heic"], {"flat": True}, "hold no images"),
    ],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused(tmp_path, files, options, words):
    for file in files:
        save(tmp_path / "x" / file, format="PNG")
    with pytest.raises(DataError, match=words):
        load_folder(tmp_path / "x", **options)
