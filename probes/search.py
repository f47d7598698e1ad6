"""Runs the discovery of every family in a thread of its own, so that a driver that hangs costs only its own family."""

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

DEADLINE_SECONDS = 30.0
"""A driver without persistence mode may initialize several GPUs for ten seconds and more."""


def close_all(probes: Sequence[Probe]) -> None:
    """Close every probe, whatever the others raise; raise a fault once all are closed."""
    with ExitStack() as stack:
        for probe in reversed(probes):
            stack.callback(probe.close)


def search(families: Iterable[str], roots: Roots, deadline_seconds: float) -> Mapping[str, DiscoveryResult | Exception]:
    """Discover all families at once, and return by family the result or the error, in order.

    The error is a NoAnswerError for a family that does not answer within `deadline_seconds`.
    """
    calls = {family: Call(partial(_discover, family, roots), f"discover-{family}", _close) for family in families}
    ends = time.monotonic() + deadline_seconds
    results: dict[str, DiscoveryResult | Exception] = {}
    for family, call in calls.items():
        try:
            results[family] = call.result(ends - time.monotonic())
        except Exception as error:  # noqa: BLE001  a fault in one family must not cost the others
            results[family] = error
    return results


def _discover(family: str, roots: Roots) -> DiscoveryResult:
    found: DiscoveryResult = import_module(f"probes.{family}").discover(roots)
    return found


def _close(found: DiscoveryResult) -> None:
    close_all(found.probes)
