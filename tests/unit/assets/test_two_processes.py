"""Real processes that fetch the same asset at once, or are killed while they do."""

import hashlib
import os
import random
import subprocess
import sys
import time

import pytest

SCRIPT = """
import hashlib, os, sys, time
from pathlib import Path
from coursekit.assets import fetching
from coursekit.assets.registry import parse_registry

registry = parse_registry(Path(sys.argv[1]).read_text())
fetching.get_asset = registry.__getitem__
start = Path(sys.argv[2])
print("waiting", flush=True)
while not start.exists():
    time.sleep(0.001)
for round in range(int(sys.argv[3])):
    os.environ["COURSEKIT_CACHE"] = str(Path(sys.argv[4]) / str(round))
    raw = fetching.fetch("letters", progress=False) / "raw"
    print(hashlib.sha256(raw.read_bytes()).hexdigest(), flush=True)
    top = fetching.fetch("folder", progress=False) / "top"
    print(sum(path.stat().st_size for path in top.rglob("*") if path.is_file()), flush=True)
"""


@pytest.fixture
def prepared(mirror, tmp_path, tiny):
    (mirror / "letters").mkdir()
    (mirror / "letters" / "raw.gz").write_bytes(tiny.packed)
    (mirror / "folder.zip").write_bytes(
        tiny.make_zip({f"top/{i}.txt": os.urandom(3000) for i in range(200)})
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "registry.toml").write_text(tiny.registry)
    return tmp_path


def start(folder, n_rounds, flag):
    command = [
        sys.executable,
        folder / "script.py",
        folder / "registry.toml",
        folder / flag,
        str(n_rounds),
        folder / "caches",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"waiting"
    return process


def test_four_processes_at_once_all_get_whole_files(prepared, tiny):
    processes = [start(prepared, 6, "go") for _ in range(4)]
    (prepared / "go").touch()
    good = [hashlib.sha256(tiny.letters).hexdigest(), "600000"] * 6
    for process in processes:
        lines, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        assert lines.decode().split() == good
    caches = prepared / "caches"
    assert not list(caches.rglob("*.part")), "a temporary file was left behind"


def test_a_process_killed_at_any_moment_leaves_nothing_half_written(prepared, tiny):
    moments = random.Random(0)
    for number in range(8):
        process = start(prepared, 20, f"go{number}")
        (prepared / f"go{number}").touch()
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.communicate()
    for raw in (prepared / "caches").glob("*/letters/raw"):
        assert raw.read_bytes() == tiny.letters
    for folder in (prepared / "caches").glob("*/folder"):
        sizes = [p.stat().st_size for p in (folder / "top").iterdir()]
        assert sizes == [3000] * 200
    process = start(prepared, 20, "go0")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
