"""Make every connection that would leave this machine fail at once, and say so.

Python imports a module of this name when it starts. tests/conftest.py puts this folder on
PYTHONPATH, so kernels, workers and every other Python that a test starts are covered too.
Jupyter kernels and torchrun talk over 127.0.0.1 and local sockets, which stay open. What
connects without Python, from compiled code, is not seen here: CI takes the network away
from the whole process for that.
"""

import ipaddress
import socket


class NetworkBlockedError(ConnectionError):
    """A test tried to reach the network."""


def install():
    """Replace what opens connections; a second call changes nothing."""
    if hasattr(socket.socket, "_coursekit_blocked"):
        return
    socket.socket._coursekit_blocked = True
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _guard_connect(getattr(socket.socket, name)))
    socket.getaddrinfo = _guard_lookup(socket.getaddrinfo)


def _guard_connect(connect):
    def guarded(self, address):
        is_internet = self.family in {socket.AF_INET, socket.AF_INET6}
        if is_internet and not _is_here(address[0]):
            raise NetworkBlockedError(_say(address))
        return connect(self, address)

    return guarded


def _guard_lookup(lookup):
    def guarded(host, *args, **kwargs):
        if not _is_here(host):
            raise NetworkBlockedError(_say(host))
        return lookup(host, *args, **kwargs)

    return guarded


def _is_here(host):
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in {None, "", "localhost", socket.gethostname()}:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _say(address):
    return (
        f"The tests run without a network, and something tried to reach {address!r}. "
        "Use a file path, bundled data or a fake."
    )


install()
