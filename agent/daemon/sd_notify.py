"""Reports the state of the service to systemd: ready, reloading, stopping, alive. Without systemd it does nothing.

The protocol is that of sd_notify(3) and sd_watchdog_enabled(3): newline-separated assignments in one datagram.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEND_TIMEOUT_SECONDS = 1.0


def notify(message: str) -> bool:
    """Send `message` to the socket named by $NOTIFY_SOCKET; return whether it was sent.

    Never raises for a socket that is missing, full or closed: the service must go on without it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # an abstract socket: its name starts with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_SEND_TIMEOUT_SECONDS)
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return False
    return True


def ready() -> bool:
    """Report that the start, or a reload, is complete."""
    return notify("READY=1")


def status(text: str) -> bool:
    """Show `text` as the status line of `systemctl status`; line ends become spaces."""
    return notify("STATUS=" + " ".join(text.splitlines()))


def reloading() -> bool:
    """Report that a reload has begun; `ready` ends it. The message has CLOCK_MONOTONIC in microseconds."""
    return notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> bool:
    """Report that the service is shutting down."""
    return notify("STOPPING=1")


def watchdog() -> bool:
    """Report that the service is alive; necessary more often than the unit's WatchdogSec=."""
    return notify("WATCHDOG=1")


def extend_timeout(seconds: float) -> bool:
    """Extend the timeout of a start or a stop to at least `seconds` from now."""
    return notify(f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")


@contextmanager
def keep_alive(every_seconds: float = 5.0, longest_seconds: float = 600.0) -> Iterator[None]:
    """Report that the service is alive while the block runs, so that neither start timeout nor watchdog ends it.

    The reports end after `longest_seconds`: the block hangs then, and a restart may help.
    """
    ended = threading.Event()

    def run() -> None:
        deadline = time.monotonic() + longest_seconds
        while time.monotonic() < deadline:
            notify(f"EXTEND_TIMEOUT_USEC={12 * every_seconds * 1e6:.0f}\nWATCHDOG=1")
            if ended.wait(every_seconds):
                return

    thread = threading.Thread(target=run, name="notify", daemon=True)
    if os.environ.get("NOTIFY_SOCKET"):
        thread.start()
    try:
        yield
    finally:
        ended.set()


def watchdog_interval_seconds() -> float | None:
    """Return the seconds between calls of `watchdog`, half of the limit; None without a watchdog for this process."""
    limit_usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not limit_usec.isdecimal() or int(limit_usec) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(limit_usec) / 2 / 1e6
