"""Runs the discovery of every family in a thread of its own, so that a driver that hangs costs only its own family."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from probes.model import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from probes.model import Probe, Roots

DEADLINE_SECONDS = 30.0
"""A driver without persistence mode may initialize several GPUs for ten seconds and more."""


class DiscoveryTimeoutError(Exception):
    """A family that did not answer before its deadline."""


class _Search:
    """The discovery of one family; a result that arrives after the deadline is closed and dropped."""

    def __init__(self, family: str, roots: Roots) -> None:
        self._lock = threading.Lock()
        self._result: Found | Exception | None = None
        self._is_over = False
        self.thread = threading.Thread(target=self._run, args=(family, roots), name=f"discover-{family}", daemon=True)

    def _run(self, family: str, roots: Roots) -> None:
        result: Found | Exception
        try:
            result = import_module(f"probes.{family}").discover(roots)
        except Exception as error:  # noqa: BLE001  a fault in one family must not cost the others
            result = error
        with self._lock:
            self._result = result
            is_over = self._is_over
        if is_over and isinstance(result, Found):
            close_all(result.probes)

    def result(self) -> Found | Exception:
        """End the search and return its result."""
        with self._lock:
            self._is_over = self._result is None
            return self._result or DiscoveryTimeoutError()


def close_all(probes: Sequence[Probe]) -> None:
    """Close every probe, whatever the others raise; raise a fault once all are closed."""
    with ExitStack() as stack:
        for probe in reversed(probes):
            stack.callback(probe.close)


def search(families: Iterable[str], roots: Roots, deadline_seconds: float) -> Mapping[str, Found | Exception]:
    """Discover all families at once, and return by family the result or the error, in order."""
    searches = {family: _Search(family, roots) for family in families}
    for each in searches.values():
        each.thread.start()
    ends = time.monotonic() + deadline_seconds
    for each in searches.values():
        each.thread.join(max(0.0, ends - time.monotonic()))
    return {family: each.result() for family, each in searches.items()}
