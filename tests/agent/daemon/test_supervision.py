"""The supervision of the daemon: watchdog, status and restarts, with probes that hang and steps of the clock."""

from __future__ import annotations

import signal
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.api.metrics import Exporter
from agent.config import Config
from agent.daemon.service_signals import ServiceSignals
from agent.daemon.startup import period
from agent.daemon.supervision import Supervisor, supervise
from agent.runtime.clock import Timebase
from agent.sampling.recorder import Recorder
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from agent.sampling.store_state import StoreErrorLog
from daemons import notify_socket
from probes.model import Channel, Device, Kind, Rejection
from store.errors import StoreError, StoreInUseError, TransientStoreError, UnstorableError
from store.records import Layout, Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from daemons import Listener

GPU = Device("GPU-1", Kind.GPU)
DEFERRED = "the restart is deferred until the store can be written again"
EXPORTER = Exporter([], [], lambda: 0, time.time_ns, "1.2.3", process=False)


class FakeProbe:
    files_only = False

    def __init__(self, name: str, *refreshes: float) -> None:
        self.name = name
        self.channels = tuple(Channel(GPU, f"{i}", "power_watts", refresh_seconds=s) for i, s in enumerate(refreshes))
        self.rejections: list[Rejection] = []

    def read(self, _at_ns: int) -> Sequence[float]:
        return [1.0] * len(self.channels)

    def close(self) -> None:
        pass


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with notify_socket(tmp_path) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", str(listener.path))
        yield listener


@contextmanager
def service(*names: str, timebase: Timebase | None = None) -> Iterator[Supervisor]:
    """A service whose probes are never read; the tests set their states."""
    timebase = timebase or Timebase.now()
    probes = [FakeProbe(name, 0.0) for name in names]
    layouts = [Layout(number, probe.name, probe.channels) for number, probe in enumerate(probes)]
    sampler = Sampler(
        [ScheduledProbe(layout, probe, 1.0) for layout, probe in zip(layouts, probes, strict=True)], timebase
    )
    for state in sampler.states:
        state.ticks = 5
    recorder = Recorder(sampler.take, lambda _: None)
    recorder.start()
    try:
        yield Supervisor(sampler, recorder, timebase, StoreErrorLog(), EXPORTER)
    finally:
        recorder.stop()


def hang(one: Supervisor, name: str) -> None:
    (state,) = [state for state in one.sampler.states if state.probe == name]
    state.reading_since_ns = time.monotonic_ns() - round(11e9)


def test_the_watchdog_is_served_and_the_status_reported(systemd: Listener) -> None:
    with service("a", "b") as one:
        one.check()
        systemd.await_message("STATUS=2 of 2 probes up, 10 reads")
    assert systemd.messages[0] == "WATCHDOG=1"


def test_a_probe_that_hangs_and_its_recovery_are_each_logged_once(
    systemd: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    with service("a", "b") as one:
        hang(one, "b")
        one.check()
        one.check()
        systemd.await_message("STATUS=1 of 2 probes up", times=2)
        assert systemd.count("WATCHDOG=1") == 2
        one.sampler.states[1].reading_since_ns = 0
        one.check()
        systemd.await_message("STATUS=2 of 2 probes up")
    assert [record.getMessage() for record in caplog.records] == [
        "probe hangs: its driver does not answer",
        "probe hangs no longer",
    ]


def test_the_watchdog_is_not_served_if_every_remaining_probe_hangs(systemd: Listener) -> None:
    with service("a", "b", "c") as one:
        one.sampler.states[2].lost = True
        hang(one, "a")
        hang(one, "b")
        one.check()
        systemd.await_message("STATUS=")
    assert systemd.count("WATCHDOG=1") == 0


def test_the_watchdog_is_not_served_after_the_recorder_has_ended(systemd: Listener) -> None:
    with service("a") as one:
        one.recorder.stop()
        one.check()
        systemd.await_message("STATUS=")
    assert systemd.count("WATCHDOG=1") == 0


def test_the_status_has_the_error_of_the_store(systemd: Listener) -> None:
    with service("a") as one:
        one.recorder.error = OSError("the disk is full")
        one.store_errors.failed(OSError("the disk is full"))
        one.check()
        systemd.await_message("STATUS=1 of 1 probes up, 5 reads; 0 ticks wait for the store: the disk is full")


def test_a_store_error_is_logged_once_per_reason_and_again_after_a_recovery(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    store_errors = StoreErrorLog()
    for reason in ("full", "full", "locked"):
        store_errors.failed(OSError(reason))
    store_errors.recovered()
    store_errors.failed(OSError("locked"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO", "ERROR"]


@pytest.mark.parametrize("seconds", [-3600, 3600, 2])
def test_a_step_of_the_clock_begins_a_new_recording_with_the_same_configuration(
    caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    before_it_was_set = Timebase(Timebase.now().offset_ns - seconds * 10**9)

    def read_config() -> Config:
        raise AssertionError("nobody asked for a reload")

    config = Config(database="x.db")
    with service("a", timebase=before_it_was_set) as one:
        assert supervise(ServiceSignals(), one, read_config, config) is config
    (record,) = caplog.records
    assert round(record.pairs["seconds"]) == seconds


def test_the_shortest_suspension_that_stops_reads_begins_a_new_recording(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with service("a") as one:
        assert not one.needs_restart()
        one.suspended = lambda: True
        assert one.needs_restart()
    assert "the clock was set or the host was suspended" in caplog.text


@pytest.mark.parametrize(
    "error", [UnstorableError("x.db", "too late", ""), StoreInUseError("x.db", "", ""), KeyError()]
)
def test_a_restart_does_not_wait_for_a_store_that_can_never_store_these_ticks(error: Exception) -> None:
    config = Config(database="x.db")
    with service("a") as one:
        one.suspended = lambda: True
        one.store_errors.failed(error)
        assert supervise(ServiceSignals(), one, lambda: config, config) is config


@pytest.mark.parametrize("error", [StoreError("x.db", "", ""), TransientStoreError("x.db", "full", "")])
def test_a_deferred_restart_follows_the_recovery_of_the_store(
    caplog: pytest.LogCaptureFixture, systemd: Listener, error: Exception
) -> None:
    before, wanted = Config(database="x.db"), Config(database="x.db", listen="127.0.0.1:1")
    signals = ServiceSignals()
    with service("a") as one, ThreadPoolExecutor(1) as beside:
        one.store_errors = StoreErrorLog(signals.wake)
        one.store_errors.failed(error)
        one.suspended = lambda: True
        signals.reloading = True
        attended = beside.submit(supervise, signals, one, lambda: wanted, before)
        try:
            systemd.await_message("READY=1")
            for times in (1, 2, 3):
                signals.wake()
                systemd.await_message("STATUS=", times)
            assert not attended.done()
        finally:
            one.store_errors.recovered()
        assert attended.result(60) is wanted
    assert [record.getMessage() for record in caplog.records].count(DEFERRED) == 1


def test_a_configuration_with_another_database_is_not_deferred() -> None:
    wanted = Config(database="y.db")
    with service("a") as one:
        one.store_errors.failed(TransientStoreError("x.db", "the disk is full", ""))
        signals = ServiceSignals()
        signals.reloading = True
        assert supervise(signals, one, lambda: wanted, Config(database="x.db")) is wanted
        assert not one.restarts_on_same_store


@pytest.mark.parametrize("stopped", [False, True])
def test_a_restart_stores_the_waiting_ticks_first_and_a_stop_ends_that_wait(stopped: bool) -> None:
    ticks, signals, refusals = deque([Tick(0, 1, 2, (1.0,))]), ServiceSignals(), 0

    def batch(_: Sequence[Tick]) -> None:
        nonlocal refusals
        if stopped or refusals < 3:
            refusals = min(refusals + 1, 3)
            signals.number = signal.SIGTERM if stopped and refusals == 3 else 0
            raise TransientStoreError("x.db", "the disk is full", "")

    with service("a") as one:
        store_errors = one.store_errors
        one.recorder = Recorder(
            lambda: [ticks.popleft()] if ticks else [], batch, store_errors.failed, store_errors.recovered
        )
        one.recorder.start()
        one.recorder.flush()
        await_true(lambda: refusals)
        one.restarts_on_same_store = True
        one.await_stored(signals)
        assert (one.recorder.waiting, refusals) == (stopped, 3)
        one.recorder.stop()


def test_the_service_is_ready_after_every_probe_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.daemon.supervision._FIRST_READS_SECONDS", 60.0)
    timebase, probe = Timebase.now(), FakeProbe("a", 0.0)
    sampler = Sampler([ScheduledProbe(Layout(1, "a", probe.channels), probe, 60.0)], timebase)
    one = Supervisor(sampler, Recorder(sampler.take, lambda _: None), timebase, StoreErrorLog(), EXPORTER)
    sampler.start()
    before = time.monotonic()
    one.await_first_reads(ServiceSignals())
    assert time.monotonic() - before < 30
    assert sampler.stop() == ()


@pytest.mark.parametrize(
    ("refreshes", "wanted", "taken"),
    [
        ((), 0.5, 0.5),
        ((0.0,), 0.5, 0.5),
        ((0.1,), 0.5, 0.5),
        ((20.0,), 0.5, 20.0),
        ((20.0, 2.0, 0.0), 0.5, 2.0),
        ((0.1,), 0.001, 0.1),
    ],
)
def test_no_probe_is_read_faster_than_its_quickest_sensor_refreshes(
    refreshes: tuple[float, ...], wanted: float, taken: float
) -> None:
    assert period(FakeProbe("hwmon/x", *refreshes), Config(period_seconds=wanted)) == taken


@pytest.mark.parametrize(("limit", "taken"), [(0.0, 32.766 / 2), (4000.0, 65_532 / 8000), (400.0, 60.0)])
def test_a_counter_is_read_at_least_twice_per_wrap(limit: float, taken: float) -> None:
    probe = FakeProbe("rapl", 0.001)
    device = Device("package-0", Kind.CPU)
    probe.channels = (Channel(device, "package", "energy_joules", max_plausible=limit, wraps_at=65_532.0),)
    assert period(probe, Config(period_seconds=60.0)) == pytest.approx(taken)
