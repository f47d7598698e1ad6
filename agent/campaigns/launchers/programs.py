"""Runs the programs of engines, such as sbatch and kubectl, and returns what they print."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_ERROR = 400


def output_of(argv: Sequence[str], given: str = "", seconds: float = 120.0) -> str:
    """Return the standard output of a program; `given` is its standard input.

    Raises CampaignError if it cannot be started, does not end in time, or ends with another code than 0.
    """
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=seconds,
            start_new_session=True,  # Ctrl-C reaches the head alone
        )
    except OSError as error:
        raise CampaignError(f"{argv[0]} cannot be started ({error.strerror}): install it on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise CampaignError(f"{argv[0]} did not answer within {seconds:g} s: check its server") from error
    if done.returncode:
        cause = one_line(done.stderr.strip() or done.stdout.strip())[-_LONGEST_ERROR:]
        raise CampaignError(f"{' '.join(argv[:2])} ended with {done.returncode}: {cause}")
    return done.stdout
