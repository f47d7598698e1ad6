from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.runtime.cpu_budget import CpuBudget
from agent.sampling.recorder import Recorder
from store.records import Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def tick(number: int, values: int = 1) -> Tick:
    return Tick(1, number, number, (float(number),) * values)


class Store:
    """Stores batches, or raises `error` if it is set; waits while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def append(self, ticks: Sequence[Tick]) -> None:
        self.tries += 1
        self.gate.wait(60)
        if error := self.error:  # another thread may clear it
            raise error
        self.batches.append([each.start_ns for each in ticks])

    @property
    def kept(self) -> list[int]:
        return [number for batch in self.batches for number in batch]


class Source:
    """The recorder's source: ticks by their numbers, each once."""

    def __init__(self) -> None:
        self.queue: deque[Tick] = deque()

    def put(self, *numbers: int, values: int = 1) -> None:
        self.queue.extend(tick(number, values) for number in numbers)

    def take(self) -> list[Tick]:
        return [self.queue.popleft() for _ in range(len(self.queue))]


@contextmanager
def recording(
    store: Store,
    on_error: Callable[[Exception], None] | None = None,
    on_recovery: Callable[[], None] | None = None,
    retry_bytes: int = 1 << 20,
    batch_seconds: float = 0.05,
    longest_seconds: float = 0.05,
) -> Iterator[tuple[Recorder, Source]]:
    source = Source()
    recorder = Recorder(source.take, store.append, on_error, on_recovery, retry_bytes, batch_seconds, longest_seconds)
    recorder.start()
    try:
        yield recorder, source
    finally:
        store.gate.set()
        recorder.stop()


def test_ticks_are_stored_once_per_batch_period() -> None:
    store = Store()
    with recording(store, batch_seconds=1.0, longest_seconds=60.0) as (recorder, source):
        for number in range(40):  # cycles of 50 ms: a batch at the first one, and one at the twentieth, after a second
            source.put(number)
            recorder.on_cycle(number * 50_000_000)
            if number in {0, 19}:
                await_true(lambda number=number: len(store.kept) == number + 1)
    assert store.batches == [[0], list(range(1, 20)), list(range(20, 40))]


def test_inexact_one_second_cycles_are_stored_one_by_one() -> None:
    store = Store()
    with recording(store, batch_seconds=1.0, longest_seconds=60.0) as (recorder, source):
        for number, now_ns in enumerate((0, 990_000_000, 2_010_000_000, 2_980_000_000)):
            source.put(number)
            recorder.on_cycle(now_ns)
            await_true(lambda number=number: len(store.batches) > number)
    assert store.batches == [[0], [1], [2], [3]]


def test_the_cpu_time_of_taking_and_storing_is_charged_to_the_budget() -> None:
    budget, source = CpuBudget(0.05), Source()

    def store(_: Sequence[Tick]) -> None:
        ends = time.thread_time() + 0.05
        while time.thread_time() < ends:
            pass

    recorder = Recorder(source.take, store, budget=budget, longest_seconds=0.02)
    source.put(1)
    recorder.start()
    await_true(lambda: budget.used_ns > 0 and not source.queue and recorder.waiting == 0)
    recorder.stop()
    assert budget.used_ns >= 0.05e9


def test_queued_ticks_are_taken_even_if_no_cycle_ends() -> None:
    store = Store()
    with recording(store, batch_seconds=1.0, longest_seconds=0.2) as (_, source):
        source.put(*range(100))
        await_true(lambda: store.batches)
    assert store.batches == [list(range(100))]


def test_a_stop_stores_the_queued_ticks() -> None:
    store = Store()
    with recording(store) as (recorder, source):
        source.put(*range(1000))
        recorder.stop()
        assert not recorder.alive
    assert store.kept == list(range(1000))
    assert (recorder.waiting, recorder.dropped, recorder.taken) == (0, 0, 1000)


def test_a_recorder_that_was_never_started_stops_at_once() -> None:
    Recorder(Source().take, Store().append).stop()


def test_a_store_that_fails_gets_every_tick_once_in_order_when_it_recovers() -> None:
    store, errors, recoveries = Store(), [], []
    store.error = OSError("disk full")
    with recording(store, on_error=errors.append, on_recovery=lambda: recoveries.append(len(errors))) as (
        recorder,
        source,
    ):
        source.put(1, 2)
        await_true(lambda: len(errors) >= 2)
        assert recorder.error
        source.put(3)
        await_true(lambda: recorder.taken == 3 and recorder.waiting == 3)
        store.error = None
        await_true(lambda: recoveries)
        assert not recorder.error
        source.put(4)
    assert store.kept == [1, 2, 3, 4]
    assert set(errors) == {errors[0]}
    assert len(recoveries) == 1
    assert recorder.dropped == 0


def test_ticks_read_while_the_store_hangs_stay_queued() -> None:
    store = Store()
    store.gate.clear()
    with recording(store) as (recorder, source):
        source.put(1)
        await_true(lambda: store.tries)
        source.put(2, 3)
        assert (recorder.waiting, len(source.queue)) == (1, 2)
    assert store.kept == [1, 2, 3]


def test_waiting_ticks_are_bounded_and_the_oldest_are_dropped_and_counted() -> None:
    store = Store()
    store.error = OSError("disk full")
    ten_ticks = 10 * (250 + 32)
    with recording(store, retry_bytes=ten_ticks) as (recorder, source):
        source.put(*range(25))
        await_true(lambda: store.tries >= 2 and recorder.taken == 25)
        await_true(lambda: recorder.waiting == 10)
        assert recorder.dropped == 15
        store.error = None
    assert store.kept == list(range(15, 25))
    assert recorder.dropped == 15


def test_wide_ticks_count_for_more_in_the_bound() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store, retry_bytes=100_000) as (recorder, source):
        source.put(*range(10), values=1000)
        await_true(lambda: recorder.taken == 10)
        await_true(lambda: recorder.waiting == 3)
    assert recorder.dropped == 7


def test_the_backlog_of_a_long_outage_is_stored_in_pieces() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store, retry_bytes=1 << 30) as (recorder, source):
        source.put(*range(25_000))
        await_true(lambda: store.tries and recorder.taken == 25_000)
        store.error = None
        await_true(lambda: not recorder.waiting)
    assert store.kept == list(range(25_000))
    assert max(map(len, store.batches)) <= 10_000


def test_a_stop_while_the_store_fails_reports_the_remaining_ticks() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store) as (recorder, source):
        source.put(1, 2, 3)
        recorder.stop()
        assert not recorder.alive
        assert (recorder.waiting, bool(recorder.error)) == (3, True)
        assert recorder.unstored == (tick(1), tick(2), tick(3))
