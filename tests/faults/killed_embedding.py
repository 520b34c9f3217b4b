"""Embeds in children of one warm process and kills them; what test_embedding_kills runs.

Torch is imported once and every embedding is a fork of that process, which itself never
computes. A child notes on disk every sample before it goes through the model.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from coursekit.datasets import make_loader
from coursekit.features import Embeddings, embed, writing
from coursekit.features.storage import read_header

N_SAMPLES, N_FEATURES, BATCH_SIZE, ROWS_A_WRITE = 6000, 96, 8, 24


class Net(nn.Module):
    def __init__(self, notes=None):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(8, N_FEATURES), nn.Linear(N_FEATURES, 2)
        self.notes = notes

    def forward(self, inputs):
        if self.notes is not None:
            os.write(self.notes, f"{int(inputs[0, 0])}\n".encode())
        return self.head(self.body(inputs).relu())


def data():
    inputs = torch.rand(N_SAMPLES, 8, generator=torch.Generator().manual_seed(1))
    inputs[:, 0] = torch.arange(N_SAMPLES)
    return make_loader((inputs, torch.arange(N_SAMPLES) % 7), batch_size=BATCH_SIZE)


def start(folder):
    """Return the number of a child that embeds."""
    (folder / "notes.txt").unlink(missing_ok=True)  # those of the child before
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        sys.stderr = (folder / "errors.txt").open("a", buffering=1)
        notes = os.open(folder / "notes.txt", os.O_WRONLY | os.O_CREAT)
        writing.ROWS_A_WRITE = ROWS_A_WRITE
        model, file = Net(notes), folder / "rows"
        embed(model, data(), file=file, device="cpu", progress_bar=False)
        code = 0
    except BaseException as error:
        sys.stderr.write(repr(error))
        raise
    finally:
        os._exit(code)


def kill_after(child, seconds):
    """Kill a child after so long; return whether it was still at work, and its code."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return False, os.waitstatus_to_exitcode(status)
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code == -signal.SIGKILL, code


def noted(folder):
    """Return the first samples of the batches that a child began, in order."""
    path = folder / "notes.txt"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def counted(folder):
    part = folder / "rows.part"
    return read_header(part).n_done if part.exists() else 0


def all_kills(folder, n_kills, seed):
    """Kill until there were `n_kills`; return what was seen, as plain data."""
    rng, resumptions, results = random.Random(seed), [], []
    seconds, n_done, n_running, run = 300.0, 0, 0, 0
    while n_done < n_kills or not run:
        here = folder / f"run{run}"
        here.mkdir()
        code = None
        while code != 0:
            before, began = counted(here), time.monotonic()
            may_kill = run and n_done < n_kills
            wait = rng.uniform(0, 0.6) * seconds if may_kill else 300
            killed, code = kill_after(start(here), wait)
            assert killed or code == 0, (here / "errors.txt").read_text()
            n_done += killed
            samples = noted(here)
            n_running += killed and len(samples) > 2
            if len(samples) > 1:  # the first shows the shape
                after = counted(here) if killed and (here / "rows.part").exists() else None
                resumptions.append(
                    {
                        "counted": before,
                        "first": samples[1],
                        "last": samples[-1],
                        "after": after,
                    }
                )
        if not run:  # the first one is the truth: nobody kills it
            seconds = time.monotonic() - began
        results.append(judge(here))
        run += 1
    return {
        "n_kills": n_done,
        "n_running": n_running,
        "n_runs": run,
        "resumptions": resumptions,
        "results": results,
    }


def judge(folder):
    """Return how a finished file differs from what it should hold."""
    found, truth = (
        Embeddings.load(folder / "rows"),
        embed(Net(), data(), progress_bar=False),
    )
    return {
        "n_wrong_rows": int((found.embeddings != truth.embeddings).any(1).sum()),
        "n_wrong_labels": int((found.labels != truth.labels).sum()),
        "errors": (folder / "errors.txt").read_text(),
        "files": sorted(path.name for path in folder.iterdir()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    to = Path(sys.argv[1])
    embed(Net(), data(), device="cpu", progress_bar=False)  # imports, once for all children
    outcome = all_kills(to, n_kills=int(sys.argv[2]), seed=0)
    (to / "outcome.json").write_text(json.dumps(outcome))
