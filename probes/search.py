"""Runs the discovery of every family in its own thread, so that a hanging driver affects only its own family."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from probes.deadline import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from probes.model import DiscoveryResult, Probe

DEADLINE_SECONDS = 30.0
"""A driver without persistence mode may need more than ten seconds to initialize several GPUs."""


def close_all(probes: Sequence[Probe]) -> None:
    """Close every probe even if some raise; then raise the error."""
    with ExitStack() as stack:
        for probe in reversed(probes):
            stack.callback(probe.close)


def search(
    families: Iterable[str], discover: Callable[[str], DiscoveryResult], deadline_seconds: float
) -> Mapping[str, DiscoveryResult | Exception]:
    """Discover all families in parallel; return the result or the error of each, in order.

    `discover` imports a family and searches its sensors. A family that does not answer within `deadline_seconds` has a
    NoAnswerError.
    """
    calls = {family: Call(partial(discover, family), f"discover-{family}", _close) for family in families}
    ends = time.monotonic() + deadline_seconds
    results: dict[str, DiscoveryResult | Exception] = {}
    for family, call in calls.items():
        try:
            results[family] = call.result(ends - time.monotonic())
        except Exception as error:  # noqa: BLE001  a fault in one family must not cost the others
            results[family] = error
    return results


def _close(found: DiscoveryResult) -> None:
    close_all(found.probes)
