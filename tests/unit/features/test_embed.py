"""embed, against slow and obvious ways, against its own laws, and for what it leaves behind."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from timm.layers import BatchNormAct2d
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models.feature_extraction import create_feature_extractor

from coursekit.datasets import ImageSet, make_loader
from coursekit.features import Embeddings, embed
from coursekit.features import running as running_module
from coursekit.features.running import choose_batch_size
from coursekit.features.standin import fast_copy


def shake(model, seed=0):
    """Give batch normalizations statistics that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
    return model


def build_net(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 12, 3, stride=2),
        nn.BatchNorm2d(12),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(12, 5),
    )
    return shake(model)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return shake(torchvision.models.resnet18(weights=None, num_classes=7))


@pytest.fixture
def net():
    return build_net()


@pytest.fixture
def images():
    return torch.rand(21, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def quick(model, data, **options):
    return embed(model, data, progress_bar=False, device="cpu", **options)


def one_by_one(model, images, layer):
    """Slow and obvious: the oracle. A hook on a copy in evaluation mode, image by image."""
    model, rows = copy.deepcopy(model).eval(), []
    part = model.get_submodule(layer)
    part.register_forward_hook(lambda m, i, o: rows.append(o.detach().clone()))
    with torch.no_grad():
        for image in images:
            model(image[None])
    values = torch.cat(rows)
    return values.mean((2, 3)) if values.ndim == 4 else values


def assert_same(found, truth):
    """Equal but for rounding, of which small numbers get as much as large ones."""
    # Folded normalizations and other batch sizes round otherwise: up to 1.1e-6 of the
    # largest number was seen, on processors without vector instructions.
    size = float(truth.abs().max())
    torch.testing.assert_close(found, truth, rtol=0, atol=2e-6 * size)


# --- truths ---------------------------------------------------------------------------


def test_three_ways_of_taking_embeddings_agree(resnet):
    images = torch.rand(6, 3, 64, 64)
    found = quick(resnet, images).embeddings

    ways = {}
    headless = copy.deepcopy(resnet).eval()
    headless.fc = nn.Identity()
    hooked, kept = copy.deepcopy(resnet).eval(), []
    hooked.fc.register_forward_pre_hook(lambda m, args: kept.append(args[0]))
    extractor = create_feature_extractor(copy.deepcopy(resnet).eval(), ["flatten"])
    with torch.no_grad():
        ways["identity"] = headless(images)
        hooked(images)
        ways["hook"] = kept[0]
        ways["extractor"] = extractor(images)["flatten"]
    for values in ways.values():
        for other in (*ways.values(), found):
            assert_same(other, values)


@pytest.mark.parametrize(
    "layer", ["conv1", "bn1", "maxpool", "layer1.0.conv1", "layer2", "layer3.1.bn2", "fc"]
)
def test_every_layer_is_that_of_a_slow_loop(resnet, layer):
    images = torch.rand(5, 3, 40, 40)
    assert_same(
        quick(resnet, images, layer=layer).embeddings, one_by_one(resnet, images, layer)
    )


def test_a_whole_set_is_that_of_a_slow_loop(net, images):
    assert_same(quick(net, images).embeddings, one_by_one(net, images, "7"))


@pytest.mark.parametrize(
    ("build", "n_features"),
    [
        (torchvision.models.mobilenet_v2, 1280),
        (torchvision.models.squeezenet1_1, 512),
        (torchvision.models.shufflenet_v2_x0_5, 1024),
        (torchvision.models.regnet_y_400mf, 440),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_feeds_the_head_is_found_in_families_of_torchvision(build, n_features):
    torch.manual_seed(0)
    model = shake(build(weights=None))
    found = quick(model, torch.rand(3, 3, 64, 64))
    assert found.embeddings.shape == (3, n_features)
    assert found.embeddings.std() > 0
    assert found.source.layer.startswith("input of ")


@pytest.mark.parametrize(
    "build", ["mobilenet_v2", "squeezenet1_1", "shufflenet_v2_x0_5", "densenet121"]
)
def test_the_logits_of_a_fast_copy_are_those_of_the_model(build):
    torch.manual_seed(0)
    model = shake(getattr(torchvision.models, build)(weights=None, num_classes=6)).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert_close_enough(quick(model, images, layer="").embeddings, model(images))


def assert_close_enough(found, truth):
    assert (found - truth).abs().max() <= 2e-5 * truth.abs().max().clamp_min(1e-3)


@pytest.mark.parametrize("layer", ["", "1", "1.act", "0"])
def test_normalizations_of_timm_are_folded_too(images, layer):
    torch.manual_seed(0)
    model = shake(
        nn.Sequential(
            nn.Conv2d(3, 6, 3), BatchNormAct2d(6, act_layer=nn.SiLU), nn.Conv2d(6, 4, 3)
        )
    )
    with torch.no_grad():
        maps = copy.deepcopy(model).eval()[: {"": 3, "0": 1}.get(layer, 2)](images)
    assert_same(quick(model, images, layer=layer).embeddings, maps.mean((2, 3)))
    copied = fast_copy(model, device=torch.device("cpu"))
    assert not any(isinstance(one, nn.BatchNorm2d) for one in copied.modules())


@pytest.mark.parametrize("build", ["resnet18", "mobilenet_v2", "densenet121"])
def test_normalizations_are_folded_wherever_they_follow_a_convolution(build):
    model = getattr(torchvision.models, build)(weights=None)
    copied = fast_copy(model, device=torch.device("cpu"))
    left = sum(isinstance(one, nn.BatchNorm2d) for one in copied.modules())
    assert left == {"densenet121": 62}.get(build, 0)  # there most come before


def test_a_map_is_averaged_over_all_positions_or_flattened(net, images):
    model = copy.deepcopy(net).eval()
    with torch.no_grad():
        maps = model[:6](images)
    assert_same(quick(net, images, layer="5").embeddings, maps.mean((2, 3)))
    assert_same(quick(net, images, layer="5", pool="flatten").embeddings, maps.flatten(1))


def test_tokens_are_averaged(images):
    model = nn.Sequential(nn.Flatten(2), nn.Linear(256, 10), nn.Flatten(), nn.Linear(30, 2))
    with torch.no_grad():
        truth = model[:2](images).mean(1)
    assert_same(quick(model, images, layer="1").embeddings, truth)


def test_an_output_that_is_changed_in_place_later_is_taken_before(net, images):
    model = copy.deepcopy(net).eval()
    with torch.no_grad():
        before_relu = model[:2](images).clone().mean((2, 3))
    assert_same(quick(net, images, layer="1").embeddings, before_relu)
    assert before_relu.min() < 0


def test_a_model_without_a_head_gives_its_output(images):
    model = build_net()
    truth = quick(model, images)
    model[9] = nn.Identity()
    found = quick(model, images)
    assert_same(found.embeddings, truth.embeddings)
    assert found.source.layer == "the model"


# --- laws -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 7, 21, 100])
def test_batch_size_does_not_change_the_answer(net, images, batch_size):
    whole = quick(net, images)
    parts = quick(net, images, batch_size=batch_size)
    assert_same(parts.embeddings, whole.embeddings)


def test_every_kind_of_data_gives_the_same(net):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(9) % 3
    images = ImageSet(images=pixels, labels=labels, class_names=("a", "b", "c"))
    lazy = ImageSet(images=list(pixels), labels=labels, class_names=("a", "b", "c"))
    locked = ImageSet(images=pixels.copy(), labels=labels, class_names=("a", "b", "c"))
    locked.images.setflags(write=False)
    inputs, targets = images.to_tensors()
    kinds = {
        "images": images,
        "lazy": lazy,
        "read-only": locked,
        "pair": (inputs, targets),
        "uint8": (torch.from_numpy(pixels).permute(0, 3, 1, 2), targets),
        "loader": make_loader(images, batch_size=4),
        "lazy loader": make_loader(lazy, batch_size=4),
        "torch": DataLoader(TensorDataset(inputs, targets), batch_size=4),
        "list": [(inputs[:5], targets[:5]), (inputs[5:], targets[5:])],
        "generator": ((inputs[i : i + 1], targets[i : i + 1]) for i in range(9)),
    }
    truth = one_by_one(net, inputs, "7")
    for name, data in kinds.items():
        found = quick(net, data)
        assert_same(found.embeddings, truth)
        assert found.labels.tolist() == labels.tolist(), name
        assert found.source.n_samples == len(found) == 9
        assert found.class_names == (
            ("a", "b", "c") if "images" in found.source.data else found.class_names
        )
    assert quick(net, images).class_names == ("a", "b", "c")
    assert quick(net, make_loader(lazy, batch_size=4)).class_names == ("a", "b", "c")


def test_data_without_labels_have_none(net, images):
    kinds = [images, DataLoader(images, batch_size=4), [images[:3], images[3:]]]
    kinds.append(DataLoader(TensorDataset(images), batch_size=4))
    for data in kinds:
        found = quick(net, data)
        assert found.labels is None
        assert len(found) == 21


def test_a_transform_is_that_of_a_loader(net, images):
    def turn(batch):
        return batch.flip(-1) * 2

    ours = quick(net, images, transform=turn)
    pair = (images, torch.zeros(21, dtype=torch.int64))
    theirs = quick(net, make_loader(pair, batch_size=5, transform=turn))
    assert_same(ours.embeddings, theirs.embeddings)
    assert_same(ours.embeddings, one_by_one(net, turn(images), "7"))


def test_small_batches_for_large_images_on_a_cpu_and_more_on_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose_batch_size((3, 224, 224), cpu) == 8
    assert choose_batch_size((3, 2000, 2000), cpu) == 1
    assert choose_batch_size((3, 8, 8), cpu) == 256
    assert choose_batch_size((100,), cpu) == 256
    assert choose_batch_size((3, 224, 224), gpu) == 128


def test_pieces_are_halved_when_memory_is_short(net, images):
    sizes = []

    class Greedy(nn.Module):
        def forward(self, inputs):
            sizes.append(len(inputs))
            if len(inputs) > 3:
                raise torch.OutOfMemoryError("fake")
            return inputs

    model = nn.Sequential(Greedy(), *net)
    assert_same(quick(model, images).embeddings, one_by_one(net, images, "7"))
    assert [size for size in sizes if size > 3] == [21, 10, 5]
    assert max(sizes[-3:]) <= 3


def test_no_room_for_a_single_sample_is_an_error_as_it_is(images):
    class Full(nn.Module):
        def forward(self, inputs):
            raise torch.OutOfMemoryError("fake")

    with pytest.raises(torch.OutOfMemoryError, match="fake"):
        quick(Full(), images)


def test_bfloat16_is_near_and_says_what_it_computed_in(resnet, monkeypatch):
    images = torch.rand(4, 3, 64, 64)
    exact = quick(resnet, images)
    monkeypatch.setattr(running_module, "has_bfloat16", lambda device: True)
    rough = quick(resnet, images, precision="bfloat16")
    assert rough.embeddings.dtype == torch.float32
    assert rough.source.precision == "bfloat16"
    error = (rough.embeddings - exact.embeddings).abs().max() / exact.embeddings.abs().max()
    assert 1e-5 < error < 0.05


def test_a_machine_without_bfloat16_computes_in_float32(net, images, monkeypatch):
    monkeypatch.setattr(running_module, "has_bfloat16", lambda device: False)
    found = quick(net, images, precision="bfloat16")
    assert found.source.precision == "float32"
    assert torch.equal(found.embeddings, quick(net, images).embeddings)


def test_gradients_may_go_through_what_uses_embeddings(net, images):
    found = quick(net, (images, torch.arange(21) % 5))
    head = nn.Linear(12, 5)
    nn.functional.cross_entropy(head(found.embeddings), found.labels).backward()
    assert head.weight.grad.abs().sum() > 0
    generator_made = quick(net, (part for part in images.split(4)))
    head(generator_made.embeddings).sum().backward()


# --- nothing is left behind -----------------------------------------------------------


class Witness(nn.Module):
    """Notes in which mode it was called."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, inputs):
        self.seen.append(
            (self.training, torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        )
        return inputs


def test_forgetting_eval_is_impossible(images):
    witness = Witness()
    model = nn.Sequential(
        witness, nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    quick(model.train(), images)
    assert set(witness.seen) - {(False, False, False)} == {(False, False, True)}


@pytest.mark.parametrize("mode", [True, False])
def test_the_answer_does_not_depend_on_the_mode_or_on_chance(net, images, mode):
    truth = quick(net.eval(), images)
    net.train(mode)
    for _ in range(2):
        assert torch.equal(quick(net, images).embeddings, truth.embeddings)


def snapshot(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks)
        for module in model.modules()
    ]
    grads = [p.grad for p in model.parameters()]
    strides = [p.stride() for p in model.parameters()]
    return state, modes, hooks, grads, strides


def assert_untouched(model, before):
    after = snapshot(model)
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    assert after[1:] == before[1:]


def odd_modes(model):
    """Some modules train, some do not, as with frozen batch normalization."""
    model.train()
    model[1].eval()
    model[8].eval()
    return model


def test_every_module_is_as_it_was(net, images):
    before = snapshot(odd_modes(net))
    random = torch.get_rng_state()
    quick(net, DataLoader(images, batch_size=4))
    assert_untouched(net, before)
    assert torch.equal(torch.get_rng_state(), random)


def breaking(images):
    yield images[:4]
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (lambda images: images[:, :1], ValueError),
        (lambda images: images * torch.nan, ValueError),
        (breaking, KeyboardInterrupt),
    ],
    ids=["shape", "nan", "interrupted"],
)
@pytest.mark.parametrize("has_listener", [False, True])
def test_every_module_is_as_it_was_after_an_error(net, images, data, error, has_listener):
    if has_listener:  # then the model itself runs, not a copy
        net[2].register_forward_hook(lambda *_: None)
    before = snapshot(odd_modes(net))
    with pytest.raises(error):
        quick(net, data(images))
    assert_untouched(net, before)


def test_hooks_of_others_are_called_and_may_change_what_passes(net, images):
    seen = []
    handle = net[0].register_forward_hook(lambda m, i, o: seen.append(len(o)) or o * 2)
    doubled = quick(net, images, batch_size=7)
    assert seen[-3:] == [7, 7, 7]
    handle.remove()
    assert not torch.allclose(doubled.embeddings, quick(net, images).embeddings)


def test_data_are_left_as_they_are(images):
    class Spoiler(nn.Module):
        def forward(self, inputs):
            return inputs.zero_().flatten(1)

    before = images.clone()
    quick(Spoiler(), images)
    assert torch.equal(images, before)


def test_layers_after_the_wanted_one_run_once_only():
    late = Witness()
    model = nn.Sequential(nn.Linear(4, 4), late, nn.Linear(4, 2))
    quick(model, torch.rand(10, 4), layer="0", batch_size=2)
    assert len(late.seen) == 1


def test_a_compiled_or_wrapped_model_is_looked_into(net, images):
    truth = quick(net, images)
    assert torch.equal(quick(torch.compile(net), images).embeddings, truth.embeddings)
    assert torch.equal(quick(nn.DataParallel(net), images).embeddings, truth.embeddings)


def test_two_convolutions_with_one_normalization_are_not_folded(images):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
            self.norm, self.fc = nn.BatchNorm2d(4), nn.Linear(4, 2)

        def forward(self, x):
            once = self.a(x)
            maps = self.norm(once) + self.norm(self.b(x)) + once
            return self.fc(maps.mean((2, 3)))

    torch.manual_seed(0)
    model = shake(Shared())
    truth = copy.deepcopy(model).eval()
    with torch.no_grad():
        assert_same(quick(model, images, layer="").embeddings, truth(images))


def test_a_forward_that_looks_at_values_is_run_as_it_is(images):
    class Curious(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            x = self.norm(self.conv(x))
            return self.fc(x.mean((2, 3)) if x.mean() > -100 else x.amax((2, 3)))

    torch.manual_seed(0)
    model = shake(Curious())
    truth = copy.deepcopy(model).eval()
    with torch.no_grad():
        assert_same(quick(model, images, layer="").embeddings, truth(images))


@pytest.mark.gpu
def test_a_model_on_a_gpu_takes_images_on_the_cpu(net, images):
    truth = quick(net, images)
    found = embed(net.cuda(), images, progress_bar=False)
    assert found.embeddings.device.type == "cpu"
    assert next(net.parameters()).is_cuda
    torch.testing.assert_close(found.embeddings, truth.embeddings, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
def test_a_model_on_the_cpu_is_copied_to_the_gpu_and_stays_where_it_is(net, images):
    found = embed(net, images, progress_bar=False)
    assert not next(net.parameters()).is_cuda
    assert isinstance(found, Embeddings)


def test_the_bar_counts_samples(net, images, capsys):
    embed(net, images, device="cpu", batch_size=4)
    assert "21/21" in capsys.readouterr().err
    quick(net, images)
    assert not capsys.readouterr().err
