"""load_folder: layouts, every kind of file, and errors that name all that is wrong."""

import pickle
import struct
import unicodedata
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from coursekit.datasets import ImageFiles, load_folder
from coursekit.datasets.decoding import decode_image, find_problem
from coursekit.errors import DataError, SettingsError

RED, GREEN = (250, 10, 10), (10, 250, 10)


def save(path, color=RED, size=(12, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def noisy(size=(60, 40), seed=0, mode="RGB"):
    shape = (size[1], size[0]) + ((3,) if mode == "RGB" else ())
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def pets(tmp_path):
    """Two classes with three images each, of different sizes."""
    for index, size in enumerate([(12, 8), (20, 30), (16, 16)]):
        save(tmp_path / "pets" / "cat" / f"{index}.png", RED, size)
        save(tmp_path / "pets" / "dog" / f"{index}.png", GREEN, size)
    return tmp_path / "pets"


@pytest.fixture
def in_parts(tmp_path):
    for part, count in [("train", 3), ("val", 1)]:
        for index in range(count):
            for name in ("ant", "bee"):
                save(tmp_path / "parts" / part / name / f"{part}{index}.png")
    return tmp_path / "parts"


# --- layout ---------------------------------------------------------------------------


def test_sub_folders_are_classes_and_images_stay_on_disk(pets):
    image_set = load_folder(pets)
    assert image_set.class_names == ("cat", "dog")
    assert image_set.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert image_set.is_lazy
    assert [image.shape for image in image_set.images][:2] == [(8, 12, 3), (30, 20, 3)]
    assert image_set.attributes["file"][3] == "dog/0.png"


def test_the_same_files_and_labels_as_torchvisions_image_folder(pets):
    save(pets / "cat" / "deeper" / "x.jpeg")
    (pets / "dog" / "notes.txt").write_text("woof")
    theirs = ImageFolder(pets)
    ours = load_folder(pets)
    assert ours.class_names == tuple(theirs.classes)
    listed = zip(ours.images.paths, ours.labels.tolist(), strict=True)
    assert sorted((str(path), label) for path, label in listed) == sorted(theirs.samples)


def test_an_image_size_gives_one_array(pets):
    image_set = load_folder(pets, image_size=10)
    assert image_set.images.shape == (6, 10, 10, 3)
    assert not image_set.is_lazy
    assert np.all(image_set.images[0] == RED)


def test_one_channel_gives_gray(pets):
    assert load_folder(pets, image_size=10, channels=1).images.shape == (6, 10, 10, 1)
    assert load_folder(pets, channels=1).images[0].shape == (8, 12, 1)


def test_the_center_is_kept_and_the_sides_are_cut(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert np.all(decode_image(tmp_path / "wide.png", image_size=10) == 200)


def test_an_image_of_the_asked_size_is_not_changed(tmp_path):
    noisy((16, 16)).save(tmp_path / "a.png")
    same = decode_image(tmp_path / "a.png", image_size=16)
    assert np.array_equal(same, np.asarray(noisy((16, 16))))


def test_parts_are_chosen_by_name(in_parts):
    assert len(load_folder(in_parts, part="train")) == 6
    assert len(load_folder(in_parts, part="val")) == 2


def test_the_only_other_part_serves_as_test_part(in_parts):
    assert load_folder(in_parts, part="test").attributes["file"][0] == "ant/val0.png"
    (in_parts / "val").rename(in_parts / "Testing")
    assert len(load_folder(in_parts, part="test")) == 2


def test_a_folder_in_parts_asks_which(in_parts):
    with pytest.raises(DataError, match=r"stored in parts: train, val.*part='train'"):
        load_folder(in_parts)


def test_other_folders_beside_the_parts_do_not_become_classes(in_parts):
    save(in_parts / "examples" / "one.png")
    assert load_folder(in_parts, part="train").class_names == ("ant", "bee")


def test_parts_without_class_folders_are_not_taken_for_classes(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "a.png")
    with pytest.raises(DataError, match="parts by their names, but hold no class folders"):
        load_folder(tmp_path)


def test_a_part_that_is_not_there_says_what_is(pets):
    with pytest.raises(DataError, match=r"'train' needs a sub-folder.*holds no parts"):
        load_folder(pets, part="train")


@pytest.mark.parametrize("lacking", ["train", "val"])
def test_classes_that_differ_between_parts_are_named(in_parts, lacking):
    other = {"train": "val", "val": "train"}[lacking]
    save(in_parts / other / "wasp" / "1.png")
    with pytest.raises(DataError, match=r"same classes.*wasp"):
        load_folder(in_parts, part="train")


def test_composed_and_decomposed_letters_are_one_class(tmp_path):
    for part, form in [("train", "NFC"), ("val", "NFD")]:
        for index in range(2):
            folder = tmp_path / part / unicodedata.normalize(form, "käfer")
            save(folder / f"{index}.png")
    assert load_folder(tmp_path, part="train").class_names == ("käfer",)


def test_hidden_files_are_not_seen(pets):
    for name in (".DS_Store", "._0.png", ".hidden.png"):
        (pets / "cat" / name).write_bytes(b"junk")
    save(pets / ".ipynb_checkpoints" / "0.png")
    save(pets / "__MACOSX" / "0.png")
    assert len(load_folder(pets)) == 6


def test_files_that_are_no_images_by_name_are_left_out_and_listed_in_the_card(pets):
    (pets / "cat" / "readme.md").write_text("cats")
    image_set = load_folder(pets)
    assert len(image_set) == 6
    assert "cat/readme.md" in image_set.card


def test_suffixes_in_capitals_count(pets):
    save(pets / "cat" / "LOUD.JPG")
    assert len(load_folder(pets)) == 7


def test_a_loop_of_links_ends(pets):
    try:
        (pets / "cat" / "again").symlink_to(pets, target_is_directory=True)
        (pets / "cat" / "self").symlink_to(pets / "cat", target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    assert load_folder(pets).class_names == ("cat", "dog")


# --- flat -----------------------------------------------------------------------------


def test_flat_makes_every_image_a_class_named_after_its_file(tmp_path):
    save(tmp_path / "b" / "owl.jpg")
    save(tmp_path / "a.cat.png")
    assert load_folder(tmp_path, flat=True).class_names == ("a.cat", "owl")


def test_imagenet_names_are_sorted_by_wnid_and_twins_stay_apart(tmp_path):
    for name in (
        "n03126707_crane",
        "z/n01440764_tench",
        "n02012849_crane",
        "z/n01498041_great_white_shark",
    ):
        save(tmp_path / f"{name}.JPEG", format="JPEG")
    image_set = load_folder(tmp_path, flat=True)
    assert image_set.class_names == (
        "tench",
        "great_white_shark",
        "crane (n02012849)",
        "crane (n03126707)",
    )
    assert image_set.attributes["file"][0] == "z/n01440764_tench.JPEG"


def test_the_same_name_in_two_folders_stays_apart(tmp_path):
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    assert load_folder(tmp_path, flat=True).class_names == ("1 (a/1.png)", "1 (b/1.png)")


# --- every kind of image --------------------------------------------------------------


def test_a_16_bit_image_is_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 257, 25700, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert decode_image(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 1, 100, 255]
    Image.fromarray(levels).save(tmp_path / "deep.tif")
    assert decode_image(tmp_path / "deep.tif", channels=1)[0, :, 0].tolist() == [
        0,
        1,
        100,
        255,
    ]
    header = b"P5 4 1 65535\n" + levels.astype(">u2").tobytes()
    (tmp_path / "deep.pgm").write_bytes(header)
    assert decode_image(tmp_path / "deep.pgm")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_transparent_pixels_are_white(tmp_path):
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 200, 255))
    image.save(tmp_path / "clear.png")
    pixels = decode_image(tmp_path / "clear.png")
    assert pixels[0, 0].tolist() == [0, 0, 200]
    assert pixels[1, 3].tolist() == [255, 255, 255]


def test_gray_with_alpha_is_laid_on_white(tmp_path):
    image = Image.new("LA", (4, 2), (100, 255))
    image.putpixel((0, 0), (0, 0))
    image.save(tmp_path / "ghost.png")
    assert decode_image(tmp_path / "ghost.png")[0, :2, 0].tolist() == [255, 100]
    assert decode_image(tmp_path / "ghost.png", channels=1)[0, :2, 0].tolist() == [255, 100]


def test_a_palette_with_a_transparent_color_is_laid_on_white(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "palette.png", transparency=0)
    pixels = decode_image(tmp_path / "palette.png")
    assert pixels[0, :2].tolist() == [[255, 255, 255], [200, 0, 0]]


def test_a_palette_becomes_rgb(tmp_path):
    Image.new("RGB", (4, 2), RED).convert("P").save(tmp_path / "palette.png")
    assert decode_image(tmp_path / "palette.png").shape == (2, 4, 3)


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=95)
    pixel = decode_image(tmp_path / "ink.jpg")[4, 4].astype(int)
    assert np.all(abs(pixel - [255, 0, 0]) < 12)


def test_one_bit_images_are_black_and_white(tmp_path):
    save(tmp_path / "bit.png", 1, mode="1")
    assert np.all(decode_image(tmp_path / "bit.png") == 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_turned_photograph_is_shown_upright(tmp_path, orientation, suffix):
    upright = Image.new("RGB", (40, 24), (0, 0, 0))
    upright.paste((255, 255, 255), (0, 0, 16, 8))  # a light corner: up and left
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"photo.{suffix}", exif=exif)
    pixels = decode_image(tmp_path / f"photo.{suffix}").astype(int)
    assert np.abs(pixels - np.asarray(upright)).max() < 40


def test_a_damaged_note_about_the_camera_does_not_spoil_the_picture(tmp_path):
    noisy().save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert decode_image(tmp_path / "photo.jpg").shape == (40, 60, 3)


def test_a_telephones_two_picture_jpeg_is_a_photograph(tmp_path):
    noisy().save(
        tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[noisy(seed=1)]
    )
    assert decode_image(tmp_path / "phone.jpg").shape == (40, 60, 3)
    assert find_problem(tmp_path / "phone.jpg") is None


def test_a_wrong_suffix_does_not_matter(tmp_path):
    noisy().save(tmp_path / "really_png.jpg", format="PNG")
    assert np.array_equal(decode_image(tmp_path / "really_png.jpg"), np.asarray(noisy()))


# --- what cannot be used --------------------------------------------------------------


def animated(path):
    frames = [noisy(seed=seed) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def truncated(path, share=0.5):
    noisy().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def png_bomb(path):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))


BAD_FILES = {
    "empty.jpg": (lambda path: path.write_bytes(b""), r"empty file \(0 bytes\)"),
    "text.png": (lambda path: path.write_text("I am no image"), "not an image"),
    "cut.jpg": (truncated, "cut short"),
    "cut.png": (truncated, "damaged|cut short"),
    "cut.bmp": (truncated, "cut short"),
    "cut.webp": (lambda path: truncated(path, 0.3), "damaged|cut short|not an image"),
    "header.jpg": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "not an image|cut"),
    "moving.png": (animated, "3 frames"),
    "moving.webp": (animated, "3 frames"),
    "pages.tiff": (animated, "3 frames or pages"),
    "float.tiff": (lambda path: Image.new("F", (4, 4)).save(path), "32-bit"),
    "long.tiff": (lambda path: Image.new("I", (4, 4)).save(path), "32-bit"),
    "lab.tiff": (lambda path: Image.new("LAB", (4, 4)).save(path), "color mode LAB"),
    "bomb.png": (png_bomb, "damaged.*exceeds limit"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_used_is_named_whether_looked_at_or_decoded(tmp_path, name):
    make, words = BAD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=words):
        decode_image(tmp_path / name)
    found = find_problem(tmp_path / name)
    with pytest.raises(DataError, match=words):
        raise DataError(found)


@pytest.mark.parametrize("image_size", [None, 16])
def test_all_bad_files_stand_in_one_message(pets, image_size):
    for name, (make, _) in BAD_FILES.items():
        make(pets / "dog" / name)
    with pytest.raises(DataError) as caught:
        load_folder(pets, image_size=image_size)
    message = str(caught.value)
    assert message.startswith(f"{len(BAD_FILES)} files in ")
    for name in BAD_FILES:
        assert f"- dog/{name}: " in message
    assert "cat/" not in message


def test_without_verify_a_bad_file_is_named_when_it_is_read(pets):
    (pets / "cat" / "0.png").write_bytes(b"")
    image_set = load_folder(pets, verify=False)
    with pytest.raises(DataError, match=r"0\.png cannot be used as an image: empty file"):
        image_set.images[0]


def test_a_file_that_vanishes_later_is_named(pets):
    image_set = load_folder(pets)
    (pets / "cat" / "0.png").unlink()
    with pytest.raises(DataError, match=r"0\.png.*no such file"):
        image_set.images[0]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_damage_anywhere_is_a_data_error_or_an_image(tmp_path, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM"]))
    path = tmp_path / "image.bin"
    noisy((24, 16)).save(path, format=kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    assert find_problem(path) != ""
    with suppress(DataError):
        assert decode_image(path, image_size=8).shape == (8, 8, 3)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        load_folder(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder_is_named(pets):
    with pytest.raises(
        DataError, match=r"folder of images is needed, got the file.*0\.png"
    ):
        load_folder(pets / "cat" / "0.png")


def test_an_empty_folder_says_what_is_needed(tmp_path):
    for flat in (True, False):
        with pytest.raises(DataError, match="no images"):
            load_folder(tmp_path, flat=flat)


def test_loose_images_beside_class_folders_are_named(pets):
    save(pets / "stray.png")
    with pytest.raises(DataError, match=r"1 outside any class folder: stray\.png\. Move"):
        load_folder(pets)


def test_images_without_class_folders_point_to_flat(tmp_path):
    for index in range(8):
        save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=r"8 outside.*and 3 more.*flat=True"):
        load_folder(tmp_path)


def test_all_empty_classes_are_named_with_what_lies_there(pets):
    (pets / "eel").mkdir()
    (pets / "fox").mkdir()
    (pets / "fox" / "film.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"have none: eel, fox\..*fox/film\.gif"):
        load_folder(pets)


def test_classes_with_one_image_are_named(pets):
    save(pets / "eel" / "1.png")
    save(pets / "fox" / "1.png")
    with pytest.raises(DataError, match=r"at least 2 images.*eel \(1\), fox \(1\)"):
        load_folder(pets)
    assert load_folder(pets, min_images=1).n_classes == 4


@pytest.mark.parametrize("image_size", [0, -3, 2.5, "64", True, (32, 32)])
def test_a_wrong_size_is_refused(pets, image_size):
    with pytest.raises(SettingsError, match="image_size must be a whole number"):
        load_folder(pets, image_size=image_size)


def test_a_wrong_part_or_channel_count_is_refused(pets):
    with pytest.raises(SettingsError, match="part must be one of 'train', 'val', 'test'"):
        load_folder(pets, part="training")
    with pytest.raises(SettingsError, match=r"3 \(RGB\) or 1 \(gray\), got 4"):
        load_folder(pets, channels=4)


# --- the lazy sequence ----------------------------------------------------------------


def test_lazy_images_can_be_cut_pickled_and_counted_from_the_end(pets):
    images = load_folder(pets).images
    assert isinstance(images[1:3], ImageFiles)
    assert len(images[1:3]) == 2
    again = pickle.loads(pickle.dumps(images))  # noqa: S301 - our own bytes
    assert np.array_equal(again[-1], images[5])
    with pytest.raises(IndexError):
        images[6]


def test_lazy_sets_can_be_cut_and_turned_to_tensors(pets):
    subset = load_folder(pets).subset([5, 2])
    images, labels = subset.to_tensors()
    assert images.shape == (2, 3, 16, 16)
    assert labels.tolist() == [1, 0]


def test_every_file_is_looked_at_once(pets, monkeypatch):
    opened = []
    really_open = Image.open
    monkeypatch.setattr(
        "coursekit.datasets.decoding.Image.open",
        lambda path, *rest: opened.append(path) or really_open(path, *rest),
    )
    load_folder(pets)
    assert len(opened) == 6
