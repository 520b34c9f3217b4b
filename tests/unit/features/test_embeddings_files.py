"""Embeddings in files: what is written is read, what was interrupted goes on, others are refused."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coursekit.datasets import ImageSet, make_loader
from coursekit.errors import DataError, SettingsError
from coursekit.features import Embeddings, EmbeddingSource, embed
from coursekit.features.storage import read_header

N = 50


class Interrupted(BaseException):
    """Stands for the end of the process."""


class Net(nn.Module):
    """Counts the rows that go through it, and may end the process after some."""

    def __init__(self, n_features=6, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body, self.head = nn.Linear(4, n_features), nn.Linear(n_features, 3)
        self.rows, self.end_after = [], None

    def forward(self, inputs):
        self.rows += inputs[:, 0].tolist()
        if self.end_after is not None and len(self.rows) > self.end_after:
            raise Interrupted
        return self.head(self.body(inputs).relu())


@pytest.fixture
def pair():
    inputs = torch.rand(N, 4, generator=torch.Generator().manual_seed(0))
    inputs[:, 0] = torch.arange(N)
    return inputs, torch.arange(N) % 3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "rows.safetensors"


def write(model, data, path, **options):
    model.rows = []
    return embed(model, data, file=path, progress_bar=False, device="cpu", **options)


def left_in(path):
    return sorted(one.name for one in path.parent.iterdir())


# --- whole files ----------------------------------------------------------------------


def test_a_file_holds_what_memory_would(pair, path):
    truth = embed(Net(), pair, progress_bar=False, device="cpu")
    found = write(Net(), pair, path)
    assert torch.equal(found.embeddings, truth.embeddings)
    assert torch.equal(found.labels, truth.labels)
    assert found.source == truth.source
    assert left_in(path) == [path.name]


def test_other_programs_read_the_file(pair, path):
    truth = write(Net(), pair, path)
    with safe_open(path, framework="np") as file:
        assert sorted(file.keys()) == ["embeddings", "labels"]
        assert np.array_equal(file.get_tensor("embeddings"), truth.embeddings.numpy())
        assert np.array_equal(file.get_tensor("labels"), truth.labels.numpy())


def test_a_file_is_mapped_not_read(pair, path):
    found = write(Net(), pair, path)
    with path.open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(np.float32(42).tobytes())
    assert found.embeddings[-1, -1] == 42
    content = path.read_bytes()
    found.embeddings[0] = 7.0  # stays in memory
    assert path.read_bytes() == content


def test_class_names_and_no_labels_are_kept(path):
    images = ImageSet(
        images=np.zeros((3, 2, 2, 1), np.uint8), labels=[0, 1, 0], class_names=("é", '"b"')
    )
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    found = embed(net, images, file=path, progress_bar=False)
    assert found.class_names == ("é", '"b"')
    plain = path.with_name("plain")
    assert embed(net, torch.zeros(3, 4), file=plain, progress_bar=False).labels is None
    assert Embeddings.load(plain).labels is None


def test_what_is_saved_is_loaded(tmp_path):
    saved = Embeddings(
        embeddings=torch.randn(4, 3),
        labels=torch.tensor([0, 1, 1, 0]),
        class_names=("a", "b"),
        source=EmbeddingSource(model="Net", layer="body", n_samples=4, data="drawn"),
    )
    for one in (saved, saved.subset([2]), saved.subset([])):
        one.save(tmp_path / "saved")
        loaded = Embeddings.load(str(tmp_path / "saved"))
        assert torch.equal(loaded.embeddings, one.embeddings)
        assert torch.equal(loaded.labels, one.labels)
        assert (loaded.class_names, loaded.source) == (one.class_names, one.source)
    assert left_in(tmp_path / "saved") == ["saved"]


# --- interruptions --------------------------------------------------------------------


def loaders(pair):
    return {
        "loader": make_loader(pair, batch_size=4),
        "torch": DataLoader(TensorDataset(*pair), batch_size=4),
        "pair": pair,
    }


def assert_rounded_alike(found, truth):
    """Equal but for rounding; the rows of two samples differ by 0.026 and more."""
    # A batch of another size is another matrix product, whose sums a processor may round
    # in another order: by a few 1e-7 of numbers up to 9.4 here.
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["loader", "torch", "pair"])
@pytest.mark.parametrize("end_after", [0, 3, 9, 30, 49])
def test_what_was_interrupted_goes_on_without_a_gap_or_a_double(
    pair, path, kind, end_after, monkeypatch
):
    monkeypatch.setattr("coursekit.features.writing.ROWS_A_WRITE", 8)
    truth = embed(Net(), pair, progress_bar=False, device="cpu")
    model, data = Net(), loaders(pair)[kind]
    model.end_after = 1 + end_after  # one row shows the shape
    with pytest.raises(Interrupted):
        write(model, data, path, batch_size=4)
    part = path.with_name(path.name + ".part")
    n_done = read_header(part).n_done if part.exists() else 0
    assert n_done == max(0, end_after // 8 * 8)

    model.end_after = None
    found = write(model, data, path, batch_size=4)
    assert_rounded_alike(found.embeddings, truth.embeddings)
    assert torch.equal(found.labels, truth.labels)
    assert model.rows[1:] == list(range(n_done, N))
    assert left_in(path) == [path.name]


def test_a_finished_file_is_not_computed_again(pair, path):
    model = Net()
    first = write(model, pair, path)
    stamp = path.stat().st_mtime_ns
    again = write(model, pair, path)
    assert model.rows == [0.0]  # the one that shows the shape
    assert path.stat().st_mtime_ns == stamp
    assert torch.equal(again.embeddings, first.embeddings)


def test_another_batch_size_goes_on_with_the_same_file(pair, path, monkeypatch):
    monkeypatch.setattr("coursekit.features.writing.ROWS_A_WRITE", 8)
    model = Net()
    model.end_after = 21
    with pytest.raises(Interrupted):
        write(model, make_loader(pair, batch_size=4), path)
    model.end_after = None
    found = write(model, make_loader(pair, batch_size=7), path)
    assert model.rows[1:] == list(range(14, N))  # whole batches of 7 in 16 rows
    truth = embed(Net(), pair, progress_bar=False, device="cpu")
    assert_rounded_alike(found.embeddings, truth.embeddings)


def test_batches_of_no_common_size_are_all_read_again(pair, path, monkeypatch):
    monkeypatch.setattr("coursekit.features.writing.ROWS_A_WRITE", 8)

    class Uneven:
        def __iter__(self):
            return iter([[*range(9)], [9], [*range(10, N)]])

        def __len__(self):
            return 3

    data = DataLoader(TensorDataset(*pair), batch_sampler=Uneven())
    with pytest.raises(SettingsError, match="how many samples there will be"):
        write(Net(), data, path)


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda pair: {"model": Net(seed=1)}, r"weights \w+\.\.\., not \w+"),
        (lambda pair: {"model": Net(n_features=5)}, r"n_features 6, not 5"),
        (lambda pair: {"layer": "body"}, "layer input of head, not body"),
        (lambda pair: {"data": (pair[0][:-1], pair[1][:-1])}, "n_samples 50, not 49"),
        (lambda pair: {"data": (pair[0] + 1, pair[1])}, "data "),
        (lambda pair: {"data": (pair[0], 2 - pair[1])}, "data "),
        (lambda pair: {"data": (pair[0].flip(0), pair[1])}, "data "),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(
    pair, path, is_finished, change, words
):
    model = Net()
    model.end_after = None if is_finished else 40
    try:
        write(model, pair, path)
    except Interrupted:
        model.end_after = None
    (there,) = path.parent.iterdir()
    before = there.read_bytes()
    asked = {"model": Net(), "data": pair} | change(pair)
    with pytest.raises(DataError, match=rf"holds other embeddings.*{words}"):
        write(asked.pop("model"), asked.pop("data"), path, **asked)
    assert there.read_bytes() == before
    assert [*path.parent.iterdir()] == [there]


def test_a_file_that_is_something_else_is_refused(pair, path):
    path.parent.mkdir()
    for content in (b"", b"some notes", b"\xff" * 100, (2).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no file of embeddings that coursekit wrote"):
            write(Net(), pair, path)
        assert path.read_bytes() == content


def test_a_file_that_is_cut_off_is_told(pair, path):
    write(Net(), pair, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"should have [\d,]+ bytes for 50 embeddings of 6"):
        Embeddings.load(path)
    path.write_bytes(whole[:40])
    with pytest.raises(DataError, match="its beginning is damaged"):
        Embeddings.load(path)


def test_half_a_file_is_not_loaded(pair, path, monkeypatch):
    monkeypatch.setattr("coursekit.features.writing.ROWS_A_WRITE", 8)
    model = Net()
    model.end_after = 20
    with pytest.raises(Interrupted):
        write(model, pair, path, batch_size=4)
    with pytest.raises(DataError, match="holds 16 of 50 embeddings: writing was interr"):
        Embeddings.load(path.with_name(path.name + ".part"))
    with pytest.raises(FileNotFoundError):
        Embeddings.load(path)


@pytest.mark.parametrize("to_file", [True, False])
@pytest.mark.parametrize("n_given", [16, 24])
def test_a_loader_that_gives_other_than_it_promises_is_told(pair, path, n_given, to_file):
    class Liar(DataLoader):
        def __iter__(self):
            return iter(pair[0][:n_given].split(4))

    loader = Liar(pair[0][:20], batch_size=4)
    with pytest.raises(DataError, match=rf"(gave )?{n_given} samples.*(20|length)"):
        embed(Net(), loader, progress_bar=False, file=path if to_file else None)
    assert not path.exists()


def test_the_header_says_what_is_inside(pair, path):
    write(Net(), pair, path)
    about = read_header(path).about
    assert about["source"]["model"] == "Net"
    assert about["identity"]["n_samples"] == N
    assert json.dumps(about)
