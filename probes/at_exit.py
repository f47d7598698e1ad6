"""Ends what the process must not leave behind on other machines, such as a session of a BMC.

The program ends without the shutdown of Python, also after a signal, so it calls `close_all` itself.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 2.0
_open: dict[int, Callable[[], object]] = {}
_numbers = iter(range(1 << 62))


def register(close: Callable[[], object]) -> int:
    """Call `close` when the process ends; return the number with which `forget` withdraws it."""
    number = next(_numbers)
    _open[number] = close
    return number


def forget(number: int) -> None:
    """Withdraw a registration; an unknown number has no effect."""
    _open.pop(number, None)


def close_all(seconds: float = SECONDS) -> None:
    """Call everything that is registered, at the same time, and return after `seconds` at the latest."""
    ends = time.monotonic() + seconds
    threads = [threading.Thread(target=_quietly, args=(close,), daemon=True) for close in list(_open.values())]
    _open.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))


def _quietly(close: Callable[[], object]) -> None:
    with suppress(Exception):
        close()
