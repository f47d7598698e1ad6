"""A user for whom permissions hold: root may open everything, so tests of refusals start processes as nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

NOBODY = 65534


def nobody() -> dict[str, Any]:
    """Return what a process takes (`**nobody()`) to be such a user; empty for whoever is not root already.

    Skips the test where that user may not reach this Python and this checkout.
    """
    if os.geteuid() != 0:
        return {}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        line = [sys.executable, "-c", "import probes.rapl, store.database, agent.cli.main"]
        subprocess.run(line, cwd="/", check=True, capture_output=True, **user)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"user {NOBODY} cannot run {sys.executable} here: {error}")
    return user
