"""One list of calls, against the small CLIP and against open_clip's ViT-B-32-quickgelu.

The large one is built without weights: names, shapes and types are what counts.
"""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from coursekit import course
from coursekit.features import embed_images, embed_texts, zero_shot_classifier
from coursekit.models import CheckedPreprocess, CheckedTokenizer, Clip, model_configuration

TEXTS = ["a small red star", "a blue disc", "a star"]
SIZES = {"small": (32, 16, 96), "large": (224, 77, 512)}  # pixels, tokens, features


def create_small():
    source = course.clip_source()
    model, train, evaluate = open_clip.create_model_and_transforms(**source.model)
    return model, train, evaluate, open_clip.get_tokenizer(**source.tokenizer)


def create_large():
    name = "ViT-B-32-quickgelu"
    model, train, evaluate = open_clip.create_model_and_transforms(name)
    return model, train, evaluate, open_clip.get_tokenizer(name)


@pytest.fixture(scope="module", params=["small", "large"])
def size(request):
    return request.param


@pytest.fixture(scope="module")
def created(size):
    """What open_clip's own calls give, in evaluation mode."""
    parts = create_small() if size == "small" else create_large()
    parts[0].eval()
    return parts


@pytest.fixture(scope="module")
def parts(created):
    """The same as the course hands them out."""
    model, _, evaluate, tokenizer = created
    return Clip(
        model,
        CheckedPreprocess(evaluate),
        CheckedTokenizer(tokenizer, is_word_level=tokenizer.vocab_size < 2000),
    )


@pytest.fixture(scope="module")
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def batch(parts, picture):
    return torch.stack([parts.preprocess(picture), parts.preprocess(picture.rotate(90))])


def test_both_are_the_librarys_own_classes(created):
    model, train, evaluate, tokenizer = created
    assert type(model) is open_clip.CLIP
    assert type(tokenizer) is open_clip.SimpleTokenizer
    assert type(train).__name__ == type(evaluate).__name__ == "Compose"


def test_names_of_parts_are_the_same(created):
    model = created[0]
    for name in ("visual", "transformer", "token_embedding", "logit_scale"):
        assert hasattr(model, name)
    for name in ("encode_image", "encode_text", "get_logits", "forward"):
        assert callable(getattr(model, name))
    assert model.logit_scale.shape == ()
    assert set(model.visual.preprocess_cfg) >= {"size", "mean", "std", "interpolation"}


def test_the_transform_makes_one_image(size, parts, picture):
    pixels, _, _ = SIZES[size]
    for mode in ("RGB", "L", "P", "RGBA"):
        image = parts.preprocess(picture.convert(mode))
        assert (image.shape, image.dtype) == ((3, pixels, pixels), torch.float32)


def test_the_configuration_says_which_images_are_wanted(size, parts):
    pixels, _, _ = SIZES[size]
    config = model_configuration(parts.model)
    assert config["input_size"] == (3, pixels, pixels)
    assert len(config["mean"]) == len(config["std"]) == 3


def test_the_tokenizer_makes_rows_of_numbers(size, parts, created):
    _, n_tokens, _ = SIZES[size]
    tokens = parts.tokenizer(TEXTS)
    assert (tokens.shape, tokens.dtype) == ((3, n_tokens), torch.int64)
    assert torch.equal(tokens, created[3](TEXTS))
    assert parts.tokenizer("a star").shape == (1, n_tokens)
    assert parts.tokenizer(TEXTS, context_length=9).shape == (3, 9)
    assert parts.tokenizer.context_length == n_tokens
    assert parts.tokenizer.decode(tokens[2].tolist()[1:3]).strip() == "a star"
    assert (tokens[:, 0] == parts.tokenizer.sot_token_id).all()
    assert tokens.max() == parts.tokenizer.eot_token_id == parts.tokenizer.vocab_size - 1


@torch.no_grad()
def test_encoders_give_features_of_one_length(size, parts, batch):
    _, _, n_features = SIZES[size]
    images = parts.model.encode_image(batch)
    texts = parts.model.encode_text(parts.tokenizer(TEXTS))
    assert (images.shape, images.dtype) == ((2, n_features), torch.float32)
    assert (texts.shape, texts.dtype) == ((3, n_features), torch.float32)
    unit = parts.model.encode_image(batch, normalize=True)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(unit, torch.nn.functional.normalize(images, dim=1))


@torch.no_grad()
def test_logits_and_the_forward_pass_agree(parts, batch):
    tokens = parts.tokenizer(TEXTS)
    per_image, per_text = parts.model.get_logits(batch, tokens)
    images, texts, scale = parts.model(batch, tokens)
    assert (per_image.shape, per_text.shape, scale.shape) == ((2, 3), (3, 2), ())
    torch.testing.assert_close(per_image, scale * images @ texts.T)
    torch.testing.assert_close(per_image, per_text.T)


@torch.no_grad()
def test_embed_images_and_texts_are_the_encoders(size, parts, batch, picture):
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    embedded = embed_images(parts.model, pixels, progress_bar=False, device="cpu")
    assert embedded.embeddings.shape == (1, SIZES[size][2])
    torch.testing.assert_close(embedded.embeddings.norm(dim=1), torch.ones(1))
    torch.testing.assert_close(
        embed_texts(parts.model, parts.tokenizer, TEXTS),
        parts.model.encode_text(parts.tokenizer(TEXTS), normalize=True),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("prompts", [["a {}"], ["a {}", "a photo of a {}", "{}"]])
def test_zero_shot_weights_are_the_librarys(parts, prompts):
    names = ["star", "disc", "red", "blue"]
    made = zero_shot_classifier(parts.model, parts.tokenizer, names, prompts=prompts)
    expected = open_clip.build_zero_shot_classifier(
        parts.model, parts.tokenizer, names, prompts
    )
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_probabilities_by_hand_are_the_classifiers(parts, batch):
    """Normalize, cosine, temperature, softmax."""
    names = ["star", "disc", "ring"]
    made = zero_shot_classifier(parts.model, parts.tokenizer, names, prompts="a {}")
    images = parts.model.encode_image(batch)
    texts = parts.model.encode_text(parts.tokenizer([f"a {name}" for name in names]))
    images = images / images.norm(dim=1, keepdim=True)
    texts = texts / texts.norm(dim=1, keepdim=True)
    exponents = torch.exp(parts.model.logit_scale.exp() * images @ texts.T)
    by_hand = exponents / exponents.sum(dim=1, keepdim=True)
    scale = parts.model.logit_scale.exp()
    logits = scale * images @ made
    torch.testing.assert_close(logits.softmax(dim=1), by_hand, atol=1e-5, rtol=0)
    per_image, _ = parts.model.get_logits(batch, parts.tokenizer([f"a {n}" for n in names]))
    torch.testing.assert_close(logits, per_image, atol=1e-4, rtol=1e-5)
