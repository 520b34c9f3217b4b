"""A training that is killed at any moment loses at most the epoch in flight."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("killed_training.py")
N_KILLS = 30

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
        f"\n{seen['n_kills']} kills in {seen['n_runs'] - 1} trainings, {seen['n_torn']} in "
        f"the middle of writing a file, {len(seen['resumptions'])} resumptions seen"
    )
    return seen


def test_there_were_thirty_kills_at_work(outcome):
    assert outcome["n_kills"] == N_KILLS
    assert (
        len(outcome["resumptions"]) >= N_KILLS // 2
    )  # the others came before the first step


def test_no_resumption_loses_more_than_the_epoch_in_flight(outcome):
    for seen in outcome["resumptions"]:
        (_, epoch, n_steps), (kind, resumed_epoch, resumed_steps) = (
            seen["reached"],
            seen["at"],
        )
        assert kind == "epoch"
        assert resumed_epoch >= epoch, seen
        if seen["every"]:
            assert resumed_steps >= n_steps - seen["every"], seen


def test_every_loss_curve_is_that_of_the_uninterrupted_training(outcome):
    truth, *killed = outcome["results"]
    assert len(truth["steps"]) == 72
    assert len(killed) >= 3
    for result in killed:
        assert result == truth
