"""Waits for another thread or process, with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def await_true(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Return as soon as `condition` is true; fail the test if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(0.01)
