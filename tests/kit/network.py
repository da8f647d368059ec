"""A network of a command's own, with nothing in it but loopback.

Ray replaces a loopback address by that of the machine, and looks for a way outside; in here there is none.
``python -m tests.kit.network UID GID COMMAND…`` is the first process inside: it switches loopback on.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from functools import cache

import pytest

from tests.kit.tools import required

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_USER = ["unshare", "--user", "--map-current-user", "--keep-caps", "--net"]
_WAYS = ([["unshare", "--net"]] if os.getuid() == 0 else [_USER]) + [
    ["sudo", "-n", "-E", "env", f"PATH={os.environ.get('PATH', '')}", "unshare", "--net"]
]


@cache
def _way() -> list[str] | None:
    """Return how to get such a network here; None where it is not permitted."""
    for way in _WAYS:
        if shutil.which(way[0]):
            tried = subprocess.run(
                [*way, *_inside(), sys.executable, "-c", ""], capture_output=True, timeout=60, check=False
            )
            if tried.returncode == 0:
                return way
    return None


def _inside() -> list[str]:
    return [sys.executable, "-m", "tests.kit.network", str(os.getuid()), str(os.getgid())]


def in_own_network(*command: str) -> list[str]:
    """Return the command as one that runs in a network of its own. Skips the test where that is not permitted."""
    if sys.platform != "linux":
        pytest.skip("needs a network namespace of Linux")
    way = _way()
    if way is None:
        if required():
            pytest.fail("a network namespace is not permitted, not even with sudo")
        pytest.skip("needs a network namespace")
    return [*way, *_inside(), *command]


def _enter(user: int, group: int, command: list[str]) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    if os.getuid() != user:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _enter(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
