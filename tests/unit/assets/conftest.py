"""A tiny registry, a network of one dictionary, and a cache and mirror of one's own."""

import gzip
import hashlib
import io
import zipfile

import pytest

from coursekit.assets import fetching
from coursekit.assets.registry import parse_registry
from coursekit.errors import AssetError

LETTERS = b"".join(bytes([65 + i % 26]) * 1000 for i in range(100))
PACKED = gzip.compress(LETTERS, mtime=0)
MD5 = hashlib.md5(PACKED, usedforsecurity=False).hexdigest()
ADDRESS = "https://example.org/letters.gz"


def zip_bytes(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


ZIPPED = zip_bytes({"top/a.txt": b"a" * 5000, "top/sub/b.txt": b"b" * 70_000})

TINY_REGISTRY = f"""
[letters]
title = "Letters"
role = "digits"
result = "letters"
source = "https://example.org"
license = "CC0"
citation = "Nobody, 2024"
[[letters.files]]
path = "letters/raw.gz"
addresses = ["{ADDRESS}", "https://example.com/second.gz"]
hash = "md5:{MD5}"
bytes = {len(PACKED)}
unpacks_to = "letters/raw"
unpacked_hash = "sha256:{hashlib.sha256(LETTERS).hexdigest()}"
unpacked_bytes = {len(LETTERS)}
unpacked_verified = true

[folder]
title = "A folder"
role = "photos"
result = "folder"
source = "https://example.org"
license = "CC0"
citation = "Nobody, 2024"
[[folder.files]]
path = "folder.zip"
addresses = ["https://example.org/folder.zip"]
hash = ""
unpacks_to = "folder"

[plain]
title = "One file"
role = "backbone"
result = "weights/plain.bin"
source = "https://example.org"
license = "CC0"
citation = "Nobody, 2024"
[[plain.files]]
path = "weights/plain.bin"
addresses = ["https://example.org/plain.bin"]
hash = "sha256:{hashlib.sha256(LETTERS).hexdigest()}"
verified = true
"""


class FakeNetwork(dict):
    """Address to bytes, or to an exception that is raised half-way."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def download(self, address, output, *, label, progress):
        self.asked.append(address)
        answer = self.get(address, ConnectionError("no route to host"))
        if isinstance(answer, bytes):
            output.write(answer)
        else:
            output.write(PACKED[: len(PACKED) // 2])
            raise answer


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("COURSEKIT_CACHE", str(folder))
    monkeypatch.delenv("COURSEKIT_MIRROR", raising=False)
    return folder


@pytest.fixture
def mirror(tmp_path, monkeypatch, cache):
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("COURSEKIT_MIRROR", str(folder))
    return folder


@pytest.fixture
def network(monkeypatch, cache):
    registry = parse_registry(TINY_REGISTRY)

    def get_asset(name):
        if name not in registry:
            raise AssetError(name)
        return registry[name]

    fake = FakeNetwork()
    monkeypatch.setattr(fetching, "get_asset", get_asset)
    monkeypatch.setattr(fetching, "download", fake.download)
    return fake


def everything_below(folder):
    """Names of all files below a folder, hidden ones too."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    )


@pytest.fixture
def names_below():
    return everything_below


@pytest.fixture
def tiny():
    """The bytes behind the tiny registry."""

    class Tiny:
        letters, packed, zipped, address = LETTERS, PACKED, ZIPPED, ADDRESS
        registry = TINY_REGISTRY
        make_zip = staticmethod(zip_bytes)

    return Tiny
