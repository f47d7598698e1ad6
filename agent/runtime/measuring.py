"""Announces a measurement to the other processes of this host, which then put off work that can wait.

A process that measures holds an abstract unix socket (unix(7)): the kernel removes it however the process ends, it is
in no folder, and every user sees it in the list of sockets. The sockets of another network namespace, such as that of
a container, are not in this list.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCKETS = Path("/proc/self/net/unix")


@contextmanager
def announced(sysfs: str) -> Iterator[None]:
    """Announce during the block that the host with this sysfs is measured; a refusal has no effect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        with suppress(OSError):
            held.bind(f"\0{_name(sysfs)}{os.getpid()}-{secrets.token_hex(4)}")
        yield


def is_announced(sysfs: str) -> bool:
    """Return whether a process has announced that the host with this sysfs is measured."""
    try:
        return f" @{_name(sysfs)}" in _SOCKETS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _name(sysfs: str) -> str:
    """Return the start of the names of a host's sockets; a bind mount of its sysfs, as in a sandbox, has the same."""
    root = Path(sysfs).stat()
    return f"inferometer-measuring-{root.st_dev:x}-{root.st_ino:x}-"
