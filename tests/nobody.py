"""A user without root's rights: root may open everything, so tests of refusals start processes as nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

NOBODY = 65534
USER: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def nobody() -> dict[str, Any]:
    """Return the arguments of a process (`**nobody()`) for such a user; empty if this user is not root.

    Skips the test if that user cannot read this Python and this checkout.
    """
    if os.geteuid() != 0:
        return {}
    if refusal := _refusal():
        pytest.skip(f"user {NOBODY} cannot run {sys.executable} here: {refusal}")
    return dict(USER)


@cache
def _refusal() -> str:
    line = [sys.executable, "-c", "import probes.rapl, store.database, agent.cli.main"]
    try:
        subprocess.run(line, cwd="/", check=True, capture_output=True, **USER)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""
