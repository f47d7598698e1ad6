"""Runs the discovery of every family in its own thread, so that a hanging driver affects only its own family."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from probes.deadline import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from probes.model import DiscoveryResult, Probe, Roots
    from probes.settings import SensorSettings

DEADLINE_SECONDS = 30.0
"""A driver without persistence mode may need more than ten seconds to initialize several GPUs."""


def close_all(probes: Sequence[Probe]) -> None:
    """Close every probe even if some raise; then raise the error."""
    with ExitStack() as stack:
        for probe in reversed(probes):
            stack.callback(probe.close)


def search(
    families: Iterable[str], roots: Roots, settings: SensorSettings, deadline_seconds: float
) -> Mapping[str, DiscoveryResult | Exception]:
    """Discover all families in parallel; return the result or the error of each, in order.

    A family that does not answer within `deadline_seconds` has a NoAnswerError. An excluded family is left out.
    """
    calls = {
        family: Call(partial(_discover, family, roots, settings), f"discover-{family}", _close)
        for family in families
        if family not in settings.exclude
    }
    ends = time.monotonic() + deadline_seconds
    results: dict[str, DiscoveryResult | Exception] = {}
    for family, call in calls.items():
        try:
            results[family] = call.result(ends - time.monotonic())
        except Exception as error:  # noqa: BLE001  a fault in one family must not cost the others
            results[family] = error
    return results


def _discover(family: str, roots: Roots, settings: SensorSettings) -> DiscoveryResult:
    found: DiscoveryResult = import_module(f"probes.{family}").discover(roots, settings)
    return found


def _close(found: DiscoveryResult) -> None:
    close_all(found.probes)
