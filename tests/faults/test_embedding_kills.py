"""Embeddings that are killed at any moment go on without a gap or a double."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("killed_embedding.py")
N_KILLS = 30
ROWS_A_WRITE = 24

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of a warm process"),
]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    command = [sys.executable, "-W", "error", str(WORKER), str(folder), str(N_KILLS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    seen = json.loads((folder / "outcome.json").read_text())
    print(
        f"\n{seen['n_kills']} kills in {seen['n_runs'] - 1} files, {seen['n_running']} of them "
        f"while rows were computed or written, {len(seen['resumptions'])} resumptions seen"
    )
    return seen


def test_there_were_thirty_kills_most_of_them_at_work(outcome):
    assert outcome["n_kills"] == N_KILLS
    assert outcome["n_running"] >= N_KILLS // 2


def test_every_file_is_that_of_an_uninterrupted_run(outcome):
    assert len(outcome["results"]) >= 4
    for result in outcome["results"]:
        assert result == {
            "n_wrong_rows": 0,
            "n_wrong_labels": 0,
            "errors": "",
            "files": ["errors.txt", "notes.txt", "rows"],
        }


def test_every_resumption_begins_with_the_first_row_that_is_not_counted(outcome):
    assert any(seen["counted"] for seen in outcome["resumptions"])
    for seen in outcome["resumptions"]:
        assert seen["first"] == seen["counted"], seen


def test_no_kill_loses_more_than_the_rows_of_one_write(outcome):
    killed = [seen for seen in outcome["resumptions"] if seen["after"] is not None]
    assert killed
    for seen in killed:
        assert seen["after"] >= seen["last"] - ROWS_A_WRITE, seen
