"""The tests run with the network blocked, in this process and in those they start."""

import socket
import subprocess
import sys

import pytest

_TRY = "import socket; socket.create_connection(('93.184.215.14', 80), timeout=3)"


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
