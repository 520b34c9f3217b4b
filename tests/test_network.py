"""The tests run with the network blocked, in this process and in those they start."""

import socket
import subprocess
import sys

import pytest

_TRY = "import socket; socket.create_connection(('93.184.215.14', 80), timeout=3)"

_LESSON_WITHOUT_SOCKETS = """
import socket

def refuse(*arguments):
    raise ConnectionRefusedError("every connection fails here")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse

import torch
from torch import nn

import coursekit
from coursekit.course import dataset
from coursekit.datasets import make_loader
from coursekit.training import Trainer

for role in ("digits", "objects", "land-cover", "insects", "photos"):
    images = dataset(role).sample(4, seed=0)
    assert len(images.images) == 4, role

digits = dataset("digits").sample(64, seed=0)
loader = make_loader(digits, batch_size=16, seed=0)
model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
trainer = Trainer(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
history = trainer.fit(loader, n_epochs=1)
print("epochs:", len(history.to_frame()))
"""


@pytest.mark.parametrize("address", [("93.184.215.14", 80), ("10.0.0.1", 22)])
def test_a_connection_that_leaves_the_machine_fails_and_says_why(address):
    with socket.socket() as one, pytest.raises(ConnectionError, match="without a network"):
        one.connect(address)


def test_a_name_is_not_looked_up():
    with pytest.raises(ConnectionError, match=r"tried to reach 'example\.org'"):
        socket.create_connection(("example.org", 80), timeout=3)


def test_this_machine_may_talk_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=3).close()


def test_a_python_that_a_test_starts_is_blocked_too():
    done = subprocess.run([sys.executable, "-c", _TRY], capture_output=True, text=True)
    assert done.returncode == 1
    assert "NetworkBlockedError" in done.stderr


def test_every_embedded_role_and_an_epoch_work_while_every_connection_fails(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _LESSON_WITHOUT_SOCKETS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "epochs: 1" in done.stdout
