"""Observes every sensor for at most two seconds, and reports which of them changed: present is not the same as working.

Only energy counters and the ticks of /proc/stat have to change: a gauge of a steady load is constant, and a device that
sleeps is not read.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import DeviceLostError, ReadError
from probes.model import ENERGETIC, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.model import Channel, Probe

    Key = tuple[str, str, str, str]

LONGEST_SECONDS = 2.0
_PERIOD_SECONDS = 0.02
TICKS = "ticks"
"""The method of a utilization that is counted by the kernel."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether each channel changed, by its key, in at most `seconds`; a channel without any value is absent."""

    changed: Mapping[Key, bool]
    seconds: float = LONGEST_SECONDS

    def stands_still(self, channel: Channel) -> bool:
        """Return whether a channel that has to change did not."""
        return must_change(channel) and self.changed.get(channel.key) is False


def must_change(channel: Channel) -> bool:
    """Return whether a working sensor of this kind changes within two seconds."""
    is_counter = channel.metric == "energy_joules" and channel.source is Source.MEASURED
    return is_counter or channel.method == TICKS


def observe(probes: Sequence[Probe], seconds: float = LONGEST_SECONDS) -> Observation:
    """Read every probe until its sensors of energy and its ticks have changed, and for `seconds` at most.

    Each probe has a thread of its own, so that one that hangs delays no other; its channels are absent then.
    """
    watches = [_Watch(probe, seconds) for probe in probes]
    ends = time.monotonic() + seconds + 2 * _PERIOD_SECONDS
    for watch in watches:
        watch.thread.start()
    for watch in watches:
        watch.thread.join(max(0.0, ends - time.monotonic()))
    changed: dict[Key, bool] = {}
    for watch in watches:
        changed |= watch.result()
    return Observation(changed, seconds)


class _Watch:
    def __init__(self, probe: Probe, seconds: float) -> None:
        self._probe = probe
        self._seconds = seconds
        self._first: dict[int, float] = {}
        self._changed: set[int] = set()
        self._reads = 0
        self.thread = threading.Thread(target=self._run, name=f"observe-{probe.name}", daemon=True)

    def _run(self) -> None:
        channels = self._probe.channels
        awaited = {at for at, channel in enumerate(channels) if must_change(channel) or channel.metric in ENERGETIC}
        ends = time.monotonic() + self._seconds
        while True:
            with suppress(ReadError, DeviceLostError):
                self._note(self._probe.read(time.monotonic_ns()))
            if awaited <= self._changed or time.monotonic() >= ends:
                break
            time.sleep(_PERIOD_SECONDS)
        self._probe.rejections.clear()

    def _note(self, values: Sequence[float]) -> None:
        for at, value in enumerate(values):
            if math.isnan(value):
                continue
            # A share of ticks has a value as soon as any tick passed, and an idle host has the same share every time.
            if self._first.setdefault(at, value) != value or self._probe.channels[at].method == TICKS:
                self._changed.add(at)
        self._reads += 1

    def result(self) -> Mapping[Key, bool]:
        """Return what is known of the channels so far; nothing of a probe that was not read twice."""
        if self._reads < 2:  # noqa: PLR2004  two reads can differ
            return {self._probe.channels[at].key: True for at in self._changed}
        return {
            channel.key: at in self._changed
            for at, channel in enumerate(self._probe.channels)
            if at in self._first or channel.method == TICKS
        }
