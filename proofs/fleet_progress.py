"""Shows that a long proof is running."""

from __future__ import annotations

import sys
import time


def progress(text: str) -> None:
    """Print a line on standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)


def wait(what: str, seconds: float) -> None:
    """Wait, with a line every half minute."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        progress(f"{what}: {left:.0f} s left")
        time.sleep(min(left, 30.0))
