from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from agent.recorder import Recorder
from store.records import Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest


def tick(number: int, values: int = 1) -> Tick:
    return Tick(1, number, number, (float(number),) * values)


class Store:
    """Takes batches, or refuses them while `error` is set; waits while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def append(self, ticks: Sequence[Tick]) -> None:
        self.tries += 1
        self.gate.wait(60)
        if self.error:
            raise self.error
        self.batches.append([each.start_ns for each in ticks])

    @property
    def kept(self) -> list[int]:
        return [number for batch in self.batches for number in batch]


@contextmanager
def recording(
    store: Store,
    each: Callable[[Tick], None] | None = None,
    on_error: Callable[[Exception], None] | None = None,
    on_recovery: Callable[[], None] | None = None,
    keep_bytes: int = 1 << 20,
    batch_seconds: float = 0.05,
) -> Iterator[Recorder]:
    recorder = Recorder(SimpleQueue(), store.append, each, on_error, on_recovery, keep_bytes, batch_seconds)
    recorder.start()
    try:
        yield recorder
    finally:
        store.gate.set()
        recorder.stop()


def put(recorder: Recorder, *numbers: int) -> None:
    for number in numbers:
        recorder._queue.put(tick(number))


def test_each_tick_is_shown_at_once_and_stored_with_the_others_of_its_second() -> None:
    store, shown = Store(), []
    with recording(
        store, each=lambda one: shown.append((one.start_ns, len(store.batches))), batch_seconds=1.0
    ) as recorder:
        put(recorder, *range(100))
        await_true(lambda: store.batches)
    assert shown == [(number, 0) for number in range(100)]
    assert store.batches == [list(range(100))]


def test_a_stop_stores_what_is_still_in_the_queue() -> None:
    store = Store()
    with recording(store) as recorder:
        put(recorder, *range(1000))
        recorder.stop()
        assert not recorder.alive
    assert store.kept == list(range(1000))
    assert (recorder.waiting, recorder.dropped, recorder.taken) == (0, 0, 1000)


def test_a_recorder_that_was_never_started_stops_at_once() -> None:
    Recorder(SimpleQueue(), Store().append).stop()


def test_a_store_that_fails_gets_every_tick_once_in_order_when_it_recovers() -> None:
    store, errors, recoveries = Store(), [], []
    store.error = OSError("disk full")
    with recording(store, on_error=errors.append, on_recovery=lambda: recoveries.append(len(errors))) as recorder:
        put(recorder, 1, 2)
        await_true(lambda: len(errors) >= 2)
        assert recorder.failed
        put(recorder, 3)
        await_true(lambda: recorder.taken == 3 and recorder.waiting == 3)
        store.error = None
        await_true(lambda: recoveries)
        assert not recorder.failed
        put(recorder, 4)
    assert store.kept == [1, 2, 3, 4]
    assert set(errors) == {errors[0]}
    assert len(recoveries) == 1
    assert recorder.dropped == 0


def test_a_store_that_hangs_keeps_no_tick_from_being_shown() -> None:
    store, shown = Store(), []
    store.gate.clear()
    with recording(store, each=shown.append) as recorder:
        put(recorder, 1)
        await_true(lambda: store.tries)
        put(recorder, 2, 3)
        await_true(lambda: len(shown) == 3)
        assert recorder.waiting == 3
    assert store.kept == [1, 2, 3]


def test_what_waits_is_bounded_and_the_oldest_ticks_are_let_go_and_counted() -> None:
    store = Store()
    store.error = OSError("disk full")
    ten_ticks = 10 * (250 + 32)
    with recording(store, keep_bytes=ten_ticks) as recorder:
        put(recorder, *range(25))
        await_true(lambda: store.tries >= 2 and recorder.taken == 25)
        await_true(lambda: recorder.waiting == 10)
        assert recorder.dropped == 15
        store.error = None
    assert store.kept == list(range(15, 25))
    assert recorder.dropped == 15


def test_wide_ticks_count_for_more_in_the_bound() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store, keep_bytes=100_000) as recorder:
        for number in range(10):
            recorder._queue.put(tick(number, values=1000))
        await_true(lambda: recorder.taken == 10)
        await_true(lambda: recorder.waiting == 3)
    assert recorder.dropped == 7


def test_a_long_outage_is_caught_up_with_in_pieces() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store, keep_bytes=1 << 30) as recorder:
        put(recorder, *range(25_000))
        await_true(lambda: store.tries and recorder.taken == 25_000)
        store.error = None
        await_true(lambda: not recorder.waiting)
    assert store.kept == list(range(25_000))
    assert max(map(len, store.batches)) <= 10_000


def test_a_stop_while_the_store_fails_tells_how_many_ticks_are_left() -> None:
    store = Store()
    store.error = OSError("disk full")
    with recording(store) as recorder:
        put(recorder, 1, 2, 3)
        before = time.monotonic()
        recorder.stop()
        assert time.monotonic() - before < 5
        assert (recorder.waiting, recorder.failed) == (3, True)


def test_showing_that_fails_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()

    def each(_: Tick) -> None:
        raise KeyError("no such layout")

    with recording(store, each=each) as recorder:
        put(recorder, 1, 2, 3)
        await_true(lambda: recorder.taken == 3)
        assert recorder.alive
    assert store.kept == [1, 2, 3]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
