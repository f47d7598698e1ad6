"""Observes every sensor for at most two seconds and reports which ones changed, because a present sensor may not work.

Only energy counters and the ticks of /proc/stat must change: a gauge of a steady load is constant, and a suspended
device is not read.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from probes.errors import DeviceLostError, ReadError
from probes.model import ENERGY_METRICS, TASK_COUNTER, Source
from probes.polling import read_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.model import Channel, Probe

    Key = tuple[str, str, str, str]

LONGEST_SECONDS = 2.0
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.02, 0.25
"""The time between the first two reads of a probe, which doubles with every read, and the longest."""
_LARGEST_STEP_JOULES = 10.0
"""The largest step of a counter that changes within two seconds while its device rests; many wall meters exceed it."""
TICKS = "ticks"
"""The method of a utilization that the kernel counts."""

log = get_logger("observation")


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether each channel changed within `seconds`, by its key; a channel without any value is absent.

    `hanging` are the channels of probes whose read had not returned at the end of the observation.
    """

    changed: Mapping[Key, bool]
    seconds: float = LONGEST_SECONDS
    hanging: tuple[Channel, ...] = ()

    def is_stuck(self, channel: Channel) -> bool:
        """Return whether a channel that must change did not."""
        return is_expected_to_change(channel) and self.changed.get(channel.key) is False


def is_expected_to_change(channel: Channel) -> bool:
    """Return whether a working sensor of this kind changes within two seconds."""
    is_counter = channel.metric == "energy_joules" and channel.source is Source.MEASURED
    is_fast = 2 * channel.refresh_seconds <= LONGEST_SECONDS and channel.resolution <= _LARGEST_STEP_JOULES
    return (is_counter and is_fast and channel.method != TASK_COUNTER) or channel.method == TICKS


def observe(probes: Sequence[Probe], seconds: float = LONGEST_SECONDS) -> Observation:
    """Read every probe until its energy sensors and ticks have changed, for at most `seconds`.

    File-only probes share one thread. A hanging one delays no other; its channels are absent.
    """
    ends = time.monotonic() + seconds
    observations = [_ProbeObservation(probe, ends) for probe in probes]
    hanging = read_all(observations, seconds + _SHORTEST_SECONDS)
    changed: dict[Key, bool] = {}
    for watch in observations:
        changed |= watch.result()
    return Observation(changed, seconds, tuple(channel for probe in hanging for channel in probe.channels))


class _ProbeObservation:
    """One observed probe, read at growing intervals until its sensors have changed, and once more at the end."""

    def __init__(self, probe: Probe, ends: float) -> None:
        self.probe = probe
        self._ends = ends
        self._first: dict[int, float] = {}
        self._changed: set[int] = set()
        self._reads = 0
        self._seconds = _SHORTEST_SECONDS
        channels = probe.channels
        self._unchanged_channels = {
            at for at, each in enumerate(channels) if is_expected_to_change(each) or each.metric in ENERGY_METRICS
        }
        self.wanted = True

    def restart_time(self) -> None:
        """Change nothing: the end is that of the whole observation."""

    def read(self) -> float:
        """Read once; return the seconds until another read is useful."""
        try:
            self._note(self.probe.read(time.monotonic_ns()))
        except (ReadError, DeviceLostError):
            pass
        except Exception as error:
            log.exception("probe fault", probe=self.probe.name, reason=repr(error))
            self._ends = 0.0
        self.probe.rejections.clear()
        left = self._ends - time.monotonic()
        self.wanted = left > 0 and not self._unchanged_channels <= self._changed
        seconds, self._seconds = self._seconds, min(2 * self._seconds, _LONGEST_SECONDS)
        return min(seconds, left)

    def _note(self, values: Sequence[float]) -> None:
        for at, value in enumerate(values):
            if math.isnan(value):
                continue
            # A share of ticks has a value as soon as any tick passed, and an idle host has the same share every time.
            if self._first.setdefault(at, value) != value or self.probe.channels[at].method == TICKS:
                self._changed.add(at)
        self._reads += 1

    def result(self) -> Mapping[Key, bool]:
        """Return whether each channel changed so far; nothing for a probe that was read less than twice."""
        if self._reads < 2:  # noqa: PLR2004  two reads can differ
            return {self.probe.channels[at].key: True for at in self._changed}
        return {
            channel.key: at in self._changed
            for at, channel in enumerate(self.probe.channels)
            if at in self._first or channel.method == TICKS
        }
