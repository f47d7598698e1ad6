"""The decision within the first seconds whether a host is fit for a profile."""

from __future__ import annotations

import pytest

from agent.host.records import HostLoad
from agent.profiling.contention import contention


def load(others: float = 0.0, stolen: float = 0.0, processors: int = 4) -> HostLoad:
    """The load of two seconds."""
    return HostLoad(2.0, processors, own=1.0, others=others, stolen=stolen, open_seconds=0.08, throttles=None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, ""),
        (load(processors=0), ""),
        (load(), ""),
        (load(others=4.0), ""),  # the resolution of the clock tick is nobody's
        (load(others=4.08), "other programs keep 2.0 of 4 CPUs busy"),
        (load(others=99.0), "other programs keep 4.0 of 4 CPUs busy"),
        (load(stolen=3.9), ""),
        (load(stolen=4.0), "other guests of the hypervisor keep 2.0 of 4 CPUs busy"),
    ],
)
def test_half_of_the_cpus_busy_with_other_work_is_too_much(found: HostLoad | None, words: str) -> None:
    assert contention(found).startswith(words)
    assert bool(contention(found)) is bool(words)
