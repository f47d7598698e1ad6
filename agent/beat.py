"""Reads one probe: stamps what it gathers, makes ticks of it, and counts what went wrong."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.log import get_logger
from probes.errors import DeviceLostError, ReadError
from probes.model import PartedProbe
from store.records import Tick

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Sequence

    from agent.clock import Timebase
    from probes.model import Probe, Rejection
    from store.records import Layout

_FEWEST, _MOST = 8, 64
"""So many readings it pays to judge together; with more, whoever waits for the interpreter meanwhile would be late."""
HANGING_PERIODS = 3
HANGING_SECONDS = 10.0
"""A read that lasts longer than three periods and ten seconds hangs."""

log = get_logger("sampler")


@dataclass(slots=True)
class BeatState:
    """How one probe's beat fares; `Sampler.states` has it up to date.

    `period_seconds` is its usual one. `last_success_ns` is Unix time, 0 before the first, and `latest` the tick of it
    that is to be shown; `reading_since_ns` is when the read that is under way began, on CLOCK_MONOTONIC, 0 between
    reads. Every beat has the time until the next one is due. `missed` counts those in which no read began, `late`
    those in which it began, but half a period or a millisecond after it was due, whichever is less. `failed` counts
    reads that gave nothing at all, `dropped` reads that nobody took in time.
    """

    probe: str
    period_seconds: float
    up: bool = True
    lost: bool = False
    read_seconds: float = 0.0
    last_success_ns: int = 0
    ticks: int = 0
    missed: int = 0
    late: int = 0
    failed: int = 0
    dropped: int = 0
    rejected: dict[tuple[int, str], int] = field(default_factory=dict)
    reading_since_ns: int = 0
    latest: Tick | None = None

    @property
    def tried(self) -> bool:
        """Whether a first read has ended, one way or another."""
        return bool(self.ticks or self.failed)

    def hangs(self, now_ns: int) -> bool:
        """Tell whether at `now_ns`, on CLOCK_MONOTONIC, its read has lasted too long to be only slow."""
        since_ns = self.reading_since_ns
        longest = max(HANGING_PERIODS * self.period_seconds, HANGING_SECONDS)
        return bool(since_ns) and now_ns - since_ns > longest * 1e9


class Reading(NamedTuple):
    """What one read gathered, before anything is made of it; the moments are on CLOCK_MONOTONIC."""

    reader: Reader
    start_ns: int
    end_ns: int
    gathered: object


class Failed(NamedTuple):
    """What a read that failed gathered: why, and what it refused before it did."""

    error: BaseException
    rejections: tuple[Rejection, ...] = ()


class AtOnce:
    """A probe whose read is one piece: what is gathered are its values, and what it refused."""

    def __init__(self, probe: Probe, clock: Callable[[], int]) -> None:
        self._probe = probe
        self._clock = clock
        self.rejections: list[Rejection] = []

    def gather(self) -> tuple[Sequence[float], tuple[Rejection, ...]] | Failed:
        """Read the probe, whatever comes of it."""
        try:
            values = self._probe.read(self._clock())
        except BaseException as error:  # noqa: BLE001  the edge of a thread, where even SystemExit would end it silently
            return Failed(error, self._taken())
        return values, self._taken()

    def judge(self, gathered: Any, at_ns: int) -> Iterable[float]:  # noqa: ARG002  it was judged when it was read
        """Return the values."""
        values, rejections = gathered
        self.rejections += rejections
        return map(float, values)

    def _taken(self) -> tuple[Rejection, ...]:
        rejections = tuple(self._probe.rejections)
        self._probe.rejections.clear()
        return rejections


class Reader:
    """Reads one probe into `queue`, which holds `limit` readings at most: further ones are dropped and counted.

    A read is two parts, so that a thread that has slept, and finds little of what it needs near its processor, runs
    through as little as can be: `read`, in the thread of the beat, gathers, and stamps the moments before and after.
    `judge`, later and for many readings at a time, makes a tick of what was gathered. A tick's stamps are Unix times in
    whole microseconds, the start rounded down and the end up, so that the read lies between them and the store keeps
    them as they are. A read that gave nothing but reasons is a tick as well: all NaN, with its rejections. A failure is
    said once, until the next read that works.
    """

    __slots__ = (
        "_channels", "_clock", "_gather", "_layout", "_limit", "_offset_ns", "_parted", "_queue", "probe", "state"
    )  # fmt: skip

    def __init__(
        self,
        layout: Layout,
        probe: Probe,
        state: BeatState,
        timebase: Timebase,
        queue: deque[Reading],
        limit: int,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.probe = probe
        self.state = state
        self._layout = layout.id
        self._channels = len(layout.channels)
        self._parted = probe if isinstance(probe, PartedProbe) else AtOnce(probe, clock)
        self._gather = self._parted.gather
        self._offset_ns = timebase.offset_ns
        self._queue = queue
        self._limit = limit
        self._clock = clock

    def read(self, late_from_ns: int) -> None:
        """Read the probe once; the read is late if it begins after `late_from_ns` on CLOCK_MONOTONIC."""
        state = self.state
        start_ns = state.reading_since_ns = self._clock()
        if start_ns > late_from_ns:
            state.late += 1
        try:
            gathered = self._gather()
        except BaseException as error:  # noqa: BLE001  the edge of a thread: a fault of the probe is told with the rest
            gathered = Failed(error)
        end_ns = self._clock()
        state.reading_since_ns = 0
        state.read_seconds = (end_ns - start_ns) / 1e9
        self._put(start_ns, end_ns, gathered)

    def refuse(self, failure: ReadError) -> None:
        """Do without a read, for a reason that counts as its failure."""
        now_ns = self._clock()
        self._put(now_ns, now_ns, Failed(failure))

    def judge(self, readings: Sequence[Reading]) -> list[Tick]:
        """Make ticks of readings, and count what went wrong with them.

        All of this reader's are to be judged once, in the order in which they were read.
        """
        ticks: list[Tick] = []
        for first in range(0, len(readings), _MOST):
            some = readings[first : first + _MOST]
            together = self._judge_together(some) if len(some) >= _FEWEST else []
            ticks += together or [tick for reading in some if (tick := self._judge_one(reading))]
        return ticks

    def _judge_together(self, readings: Sequence[Reading]) -> list[Tick]:
        """Judge many at a time, where nothing is wrong with any; nothing is returned or changed where something is."""
        state, parted = self.state, self._parted
        gathered = [reading.gathered for reading in readings]
        if not isinstance(parted, PartedProbe) or not state.up or any(isinstance(each, Failed) for each in gathered):
            return []
        try:
            values = parted.judge_many(gathered, [reading.start_ns for reading in readings])
        except Exception:  # noqa: BLE001  whatever it is, the reading that it comes from will say it
            return []
        if len(values) != len(readings) or len(values[0]) != self._channels:
            return []
        ticks = [
            Tick(self._layout, *self._stamps(reading), given) for reading, given in zip(readings, values, strict=True)
        ]
        state.latest = ticks[-1]
        state.last_success_ns = ticks[-1].end_ns
        state.ticks += len(ticks)
        return ticks

    def _judge_one(self, reading: Reading) -> Tick | None:
        state, gathered = self.state, reading.gathered
        if state.lost:
            return None
        failure: BaseException | None = None
        if isinstance(gathered, Failed):
            failure = gathered.error
            self._parted.rejections += gathered.rejections
        else:
            try:
                values = tuple(self._parted.judge(gathered, reading.start_ns))
                if len(values) != self._channels:  # it would spoil the store and every scrape
                    failure = ValueError(f"{len(values)} values for {self._channels} channels")
            except Exception as error:  # noqa: BLE001  the edge of a probe: a fault of one costs no other anything
                failure = error
        stamps = self._stamps(reading)
        rejections = self._taken() if self._parted.rejections else ()
        if failure is not None:
            self._failed(failure)
            nothing = (math.nan,) * self._channels
            return Tick(self._layout, *stamps, nothing, rejections) if rejections else None
        tick = Tick(self._layout, *stamps, values, rejections)
        if not state.up:
            log.info("probe reads again", probe=state.probe)
            state.up = True
        if not (rejections and all(map(math.isnan, values))):
            state.latest = tick
        state.ticks += 1
        state.last_success_ns = tick.end_ns
        return tick

    def _stamps(self, reading: Reading) -> tuple[int, int]:
        """Return the Unix times of a reading's start and end, in whole microseconds around it."""
        start_ns, end_ns = reading.start_ns + self._offset_ns, reading.end_ns + self._offset_ns
        return start_ns - start_ns % 1000, end_ns + -end_ns % 1000

    def _put(self, start_ns: int, end_ns: int, gathered: object) -> None:
        if len(self._queue) < self._limit:
            self._queue.append(Reading(self, start_ns, end_ns, gathered))
        else:
            self.state.dropped += 1

    def _taken(self) -> tuple[Rejection, ...]:
        """Take what the read refused out of the probe, and count it."""
        rejections = tuple(self._parted.rejections)
        self._parted.rejections.clear()
        counts = self.state.rejected
        for rejection in rejections:
            key = (rejection.channel, rejection.reason.value)
            counts[key] = counts.get(key, 0) + 1
        return rejections

    def _failed(self, failure: BaseException) -> None:
        """Count a read that failed; say so once, with a trace where the fault is ours."""
        state = self.state
        state.failed += 1
        if isinstance(failure, DeviceLostError):
            state.lost = True
            log.error("device lost", probe=state.probe, reason=str(failure))
        elif state.up and isinstance(failure, ReadError):
            log.warning("read failed", probe=state.probe, reason=str(failure))
        elif state.up:
            log.error("probe fault", probe=state.probe, reason=repr(failure), exc_info=failure)
        state.up = False
