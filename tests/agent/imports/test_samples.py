"""The wait for the last samples of a load that has just ended."""

from __future__ import annotations

import pytest

from agent.imports.records import TimeRange
from agent.imports.samples import STORED_AFTER_NS, await_samples
from agent.imports.windows import PlacedRun
from result_files import GUIDELLM, only_run
from simulated import SECOND
from store.records import Recording, RecordingSpan

RUN = only_run(GUIDELLM)
START_NS = 1000 * SECOND
END_NS = START_NS + RUN.duration_ns
PLACED = [PlacedRun(RUN, TimeRange(START_NS, START_NS))]


class Store:
    """A recording whose last stored sample is `late_ns` behind the clock, which `sleep` moves."""

    def __init__(self, now_ns: int, late_ns: int) -> None:
        self.now, self.late_ns, self.asked = now_ns, late_ns, 0

    def spans(self) -> tuple[RecordingSpan, ...]:
        self.asked += 1
        return (RecordingSpan(Recording(1, "host", "boot", "daemon", 1, 0), 0, self.now - self.late_ns),)

    def now_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.mark.parametrize("late_ns", [0, SECOND, 3 * SECOND])
def test_a_load_that_has_just_ended_is_covered_once_its_samples_are_stored(late_ns: int) -> None:
    store = Store(END_NS, late_ns)
    (span,) = await_samples(store.spans, PLACED, store.now_ns, store.sleep)
    assert span.last_ns >= END_NS
    assert store.now - END_NS <= late_ns + 0.2 * SECOND


def test_samples_that_never_come_are_awaited_for_some_seconds() -> None:
    store = Store(END_NS, 3600 * SECOND)
    await_samples(store.spans, PLACED, store.now_ns, store.sleep)
    assert STORED_AFTER_NS <= store.now - END_NS <= STORED_AFTER_NS + SECOND


@pytest.mark.parametrize("now_ns", [END_NS + 60 * SECOND, END_NS - 60 * SECOND])
def test_a_load_of_another_time_is_not_awaited(now_ns: int) -> None:
    store = Store(now_ns, 3600 * SECOND)
    await_samples(store.spans, PLACED, store.now_ns, store.sleep)
    assert (store.asked, store.now) == (1, now_ns)
