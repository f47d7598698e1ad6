"""The exported total of a counter after restarts, kills, resets, wraps, suspensions and reboots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.clock import Timebase
from agent.sampling.counter_accumulator import CounterAccumulator, Totals, gap_energy
from probes.model import Channel, Device, Kind, Reason, Rejection, Source
from store.records import Host, Layout, Tick, Total

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = Device("package-0", Kind.CPU)
SECOND = 1_000_000_000
WRAPS_AT = 1000.0
RAPL = Channel(CPU, "package", "energy_joules", refresh_seconds=0.001, max_plausible=100.0, wraps_at=WRAPS_AT)
PLAIN = Channel(CPU, "package", "energy_joules", max_plausible=100.0)
GAUGE = Channel(CPU, "package", "power_watts")
ESTIMATE = Channel(CPU, "package", "energy_joules", Source.ESTIMATED)
HOST = Host("host", "name", boot_id="boot")
KEY = ("rapl", *RAPL.key)


@dataclass
class Store:
    """Stores totals, or fails while `fails` is set."""

    kept: Totals = field(default_factory=dict)
    refused: Totals = field(default_factory=dict)
    fails: bool = False

    def append(self, _ticks: Sequence[Tick], totals: Sequence[Total]) -> None:
        if self.fails:
            self.refused.update((total.key, total) for total in totals)
            raise OSError("the disk is full")
        self.kept.update((total.key, total) for total in totals)


def tick(at_seconds: float, *values: float, rejections: tuple[Rejection, ...] = ()) -> Tick:
    at_ns = round(at_seconds * SECOND)
    return Tick(1, at_ns, at_ns, values, rejections)


def started(
    store: Store,
    *channels: Channel,
    boot_id: str = "boot",
    memory: Totals | None = None,
    asleep_seconds: float = 0.0,
    probe: str = "rapl",
) -> CounterAccumulator:
    layout = Layout(1, probe, channels or (RAPL,))
    timebase = Timebase(0, round(asleep_seconds * SECOND))
    return CounterAccumulator(replace(HOST, boot_id=boot_id), [layout], store.kept | (memory or {}), timebase)


def after(store: Store, pause_seconds: float, value: float, channel: Channel = RAPL, **how: object) -> float:
    """Return the total after a restart, from the first value and its distance to the last stored one."""
    last = max((total.at_ns for total in store.kept.values()), default=0) / SECOND
    one, now = started(store, channel, **how), tick(last + pause_seconds, value)
    one.store_ticks([now], store.append)
    return one.exported_value(now, 0)


def kept(value: float, channel: Channel = RAPL, at_seconds: float = 10.0) -> Store:
    """Return a store that has one total of a counter, from its first start."""
    store = Store()
    started(store, channel).store_ticks([tick(at_seconds, value)], store.append)
    return store


def test_a_counter_without_a_stored_total_exports_its_own_value() -> None:
    one = started(store := Store(), RAPL, GAUGE)
    assert one.exported_value(tick(1, 100.1, 50.0), 0) == 100.1
    one.store_ticks([tick(1, 100.1, 50.0)], store.append)
    assert one.exported_value(tick(2, 107.3, 50.0), 0) == 100.1  # an unstored total is not exported
    one.store_ticks([tick(2, 107.3, 50.0)], store.append)
    assert one.exported_value(tick(2, 107.3, 50.0), 0) == 107.3
    assert list(store.kept.values()) == [
        Total(
            "host", "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "boot", 107.3, 107.3, 2 * SECOND
        )
    ]


def test_a_restart_adds_the_count_of_the_pause() -> None:
    assert after(kept(100.0), 3, 130.0) == 130.0


def test_a_restart_exports_the_stored_total_until_the_first_commit() -> None:
    assert started(kept(100.0)).exported_value(tick(13, 130.0), 0) == 100.0


def test_one_wrap_is_undone_if_the_pause_was_too_short_for_two() -> None:
    assert after(kept(990.0), 3, 20.0) == 1020.0


@pytest.mark.parametrize(
    ("raw", "first", "seconds", "channel", "answer"),
    [
        (100.0, 100.0, 5, RAPL, (0.0, None)),
        (100.0, 99.9999, 5, RAPL, (0.0, None)),  # a raw value from a double is not exact
        (999.9, 0.1, 5, RAPL, (pytest.approx(0.2), None)),
        (500.0, 400.0, 5, RAPL, (0.0, Reason.RESET)),
        (500.0, 400.0, 9.998, RAPL, (900.0, None)),
        (500.0, 600.0, 10, RAPL, (0.0, Reason.WRAP_UNKNOWN)),
        (500.0, 600.0, 0.5, RAPL, (0.0, Reason.IMPOSSIBLE)),
        (500.0, 400.0, 5, PLAIN, (0.0, Reason.RESET)),
        (500.0, 600.0, 3600, PLAIN, (100.0, None)),
        (500.0, 1e9, 3600, PLAIN, (0.0, Reason.IMPOSSIBLE)),
        (500.0, 1e9, 3600, replace(PLAIN, max_plausible=0.0), (0.0, Reason.IMPOSSIBLE)),
        (500.0, 1e9, 3600, replace(PLAIN, device=Device("m", Kind.PSU), max_plausible=0.0), (0.0, Reason.IMPOSSIBLE)),
        (500.0, 600.0, 0.09, replace(RAPL, max_plausible=0.0), (100.0, None)),
        (500.0, 600.0, 0.5, replace(RAPL, max_plausible=0.0), (0.0, Reason.WRAP_UNKNOWN)),
    ],
)
def test_an_uncertain_count_is_not_added_and_has_a_reason(
    raw: float, first: float, seconds: float, channel: Channel, answer: tuple[float, Reason | None]
) -> None:
    assert gap_energy(raw, first, seconds, channel) == answer


def test_a_pause_with_an_unknown_count_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert after(kept(100.0), 60, 130.0) == 100.0
    (record,) = caplog.records
    assert record.getMessage() == "the count of a pause is unknown"
    assert record.pairs == {
        "channel": "rapl/package-0/package/energy_joules/measured",
        "reason": "wrap_unknown",
        "pause_seconds": 60.0,
    }


def test_a_suspension_counts_as_part_of_the_pause() -> None:
    assert after(kept(100.0), 3, 130.0, asleep_seconds=5) == 130.0
    assert after(kept(100.0), 3, 130.0, asleep_seconds=60) == 100.0


@pytest.mark.parametrize("boot_id", ["another", ""])
def test_after_a_reboot_the_total_omits_the_count_before_the_first_read(boot_id: str) -> None:
    store = kept(700.0)
    one = started(store, boot_id=boot_id)
    one.store_ticks([tick(1, 40.0), tick(2, 45.0)], store.append)
    assert one.exported_value(tick(2, 45.0), 0) == 705.0


def test_an_unknown_boot_is_never_the_same_boot() -> None:
    store = Store()
    started(store, boot_id="").store_ticks([tick(1, 40.0)], store.append)
    assert after(store, 1, 45.0, boot_id="") == 40.0


def test_after_a_reset_the_hardware_value_is_unknown_until_the_next_start() -> None:
    store = Store()
    one = started(store)
    one.store_ticks(
        [tick(1, 500.0), tick(2, math.nan, rejections=(Rejection(0, Reason.RESET),)), tick(3, 510.0)], store.append
    )
    assert store.kept[KEY].raw is None
    assert after(store, 2, 12.0) == 510.0
    assert after(store, 2, 15.0) == 513.0


def test_an_estimate_counts_from_0_in_every_process_and_its_total_continues() -> None:
    store = kept(300.0, ESTIMATE)
    assert store.kept["rapl", *ESTIMATE.key].raw is None
    assert after(store, 5, 2.5, ESTIMATE) == 300.0
    assert after(store, 5, 0.0, ESTIMATE) == 300.0


def test_the_unstored_total_is_exported_while_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.sampling.counter_accumulator._UNSTORED_EXPORT_SECONDS", 0.0)
    store = kept(100.0)
    store.fails = True
    one = started(store)
    for _ in range(2):  # as the recorder retries
        with pytest.raises(OSError, match="disk is full"):
            one.store_ticks([tick(12, 110.0)], store.append)
    assert one.exported_value(tick(13, 120.0), 0) == 120.0
    assert store.refused[KEY].total == 110.0
    assert started(store, memory=store.refused).exported_value(tick(14, 125.0), 0) == 110.0


def test_a_repeated_or_empty_tick_changes_nothing() -> None:
    one = started(store := Store())
    one.store_ticks([tick(1, 10.0), tick(2, 12.0)], store.append)
    one.store_ticks([tick(1, 10.0)], store.append)
    one.store_ticks([tick(3, math.nan)], store.append)
    assert one.exported_value(tick(3, 12.0), 0) == 12.0
    assert store.kept[KEY].at_ns == 2 * SECOND


def test_a_counter_without_first_values_continues_with_its_first_value() -> None:
    store = kept(100.0)
    one = started(store)
    one.store_ticks([tick(11, math.nan)], store.append)
    assert one.exported_value(tick(11, math.nan), 0) == 100.0
    one.store_ticks([tick(12, 105.0)], store.append)
    assert one.exported_value(tick(12, 105.0), 0) == 105.0


def test_another_probe_continues_a_total_without_adding_the_gap_between_two_counters() -> None:
    store = kept(1000.0, PLAIN)
    other = started(store, PLAIN, probe="zenergy")
    assert other.exported_value(tick(11, 5.0), 0) == 1000.0
    other.store_ticks([tick(11, 5.0), tick(12, 35.0)], store.append)
    assert other.exported_value(tick(12, 35.0), 0) == 1030.0


@pytest.mark.parametrize(("value", "total"), [(1040.0, 1040.0), (1010.0, 1030.0), (4.0, 1030.0)])
def test_nothing_is_counted_twice_after_the_first_probe_returns(value: float, total: float) -> None:
    store = kept(1000.0, PLAIN)
    started(store, PLAIN, probe="zenergy").store_ticks([tick(11, 5.0), tick(12, 35.0)], store.append)
    back = started(store, PLAIN)
    back.store_ticks([tick(13, value), tick(14, value + 2.0)], store.append)
    assert back.exported_value(tick(14, value + 2.0), 0) == total + 2.0


def test_only_the_first_of_two_probes_with_one_channel_has_a_total() -> None:
    store = Store()
    layouts = [Layout(1, "rapl", (PLAIN,)), Layout(2, "zenergy", (GAUGE, PLAIN))]
    both = CounterAccumulator(HOST, layouts, {}, Timebase(0))
    both.store_ticks([tick(1, 100.0), tick(1, 50.0, 7000.0)._replace(layout=2)], store.append)
    assert [(total.probe, total.total) for total in store.kept.values()] == [("rapl", 100.0)]
    assert after(store, 1, 105.0, PLAIN) == 105.0


# --- random histories ------------------------------------------------------------------------------------------------

MICRO = 1_000_000
RANGE_UJ = round(WRAPS_AT * MICRO)
EVENTS = ("read", "read", "keep", "keep", "restart", "kill", "reset", "sleep", "pause", "reboot")


@dataclass
class Machine:
    """A host with one energy counter, the service on it and a client that scrapes it; the truth in whole microjoules.

    `due` is the expected total: the consumption while the counter was read, and in pauses whose count is certain.
    `saved` is (due, boot, time, counter) of the last commit, with a counter of -1 if it was unknown then.
    """

    wraps: bool
    store: Store = field(default_factory=Store)
    scraped: list[float] = field(default_factory=list)
    monotonic: float = 10.0
    asleep: float = 0.0
    boot: int = 0
    hardware: int = 0
    consumed: int = 0
    due: int = 0
    saved: tuple[int, int, float, int] | None = None

    def __post_init__(self) -> None:
        self.starts()

    @property
    def channel(self) -> Channel:
        return RAPL if self.wraps else PLAIN

    @property
    def raw(self) -> int:
        return self.hardware % RANGE_UJ if self.wraps else self.hardware

    @property
    def moment(self) -> float:
        return self.monotonic + self.asleep

    def starts(self) -> None:
        self.totals = started(self.store, self.channel, boot_id=f"boot-{self.boot}", asleep_seconds=self.asleep)
        self.waiting: list[Tick] = []
        self.value: int | None = None
        self.read_at = 0
        self.fell = self.known = False

    def draw(self, seconds: float, watts: float) -> None:
        self.monotonic += seconds
        self.hardware += round(watts * seconds * MICRO)
        self.consumed += round(watts * seconds * MICRO)

    def read(self) -> None:
        step = self.consumed - self.read_at
        self.read_at = self.consumed
        rejections: tuple[Rejection, ...] = ()
        if self.value is None:
            self.value, self.known = self.raw, True
            self.due = self.due_at_start()
        elif self.fell:
            rejections, self.known = (Rejection(0, Reason.RESET),), False
        else:
            self.value += step
            self.due += step
        self.fell = False
        value = math.nan if rejections else self.value / MICRO
        self.waiting.append(tick(self.monotonic, value, rejections=rejections))
        self.scrape()

    def due_at_start(self) -> int:
        if self.saved is None:
            return self.raw
        due, boot, moment, raw = self.saved
        longest = WRAPS_AT / self.channel.max_plausible - self.channel.refresh_seconds if self.wraps else math.inf
        if boot != self.boot or raw < 0 or self.moment - moment >= longest - 1e-9:
            return due
        return due + ((self.raw - raw) % RANGE_UJ if self.wraps else max(0, self.raw - raw))

    def store_ticks(self) -> None:
        if self.waiting:
            self.totals.store_ticks(self.waiting, self.store.append)
            self.saved = (self.due, self.boot, self.moment, self.raw if self.known else -1)
            self.scrape()
            self.waiting = []
            assert self.scraped[-1] == pytest.approx(self.due / MICRO, abs=1e-5)

    def scrape(self) -> None:
        if self.saved:  # a kill within the first second may undo the exported value
            self.scraped.append(self.totals.exported_value(self.waiting[-1], 0))

    def happen(self, event: str, seconds: float, watts: float) -> None:
        if event in {"read", "keep"}:
            self.draw(seconds, watts)
            self.read()
        if event in {"keep", "restart", "reboot"} and self.waiting:
            self.draw(0.001, watts)
            self.read()
            self.store_ticks()
        if event == "reset" and not self.wraps:  # a reset of a counter that wraps cannot be distinguished from a wrap
            self.hardware, self.fell = 0, True
        if event == "reboot":
            self.boot, self.hardware, self.monotonic, self.asleep = self.boot + 1, 0, 1.0, 0.0
        if event == "sleep":
            self.asleep += 5 * seconds
        if event in {"sleep", "restart", "kill", "pause", "reboot"}:
            self.draw(seconds * (10 if event == "pause" else 1), watts)
            self.starts()


steps = st.tuples(st.sampled_from(EVENTS), st.floats(0.05, 2.0), st.floats(0.0, 99.0))


@given(st.booleans(), st.lists(steps, min_size=15, max_size=60))
def test_a_total_never_decreases_and_contains_only_certain_counts(
    wraps: bool, history: list[tuple[str, float, float]]
) -> None:
    machine = Machine(wraps)
    for event in history:
        machine.happen(*event)
    machine.store_ticks()
    assert all(before <= now for before, now in pairwise(machine.scraped))
    assert machine.due <= machine.consumed


@given(st.lists(st.floats(0.0, 1e6, width=32), min_size=2, max_size=50), st.floats(0.0, 1e9))
def test_rounding_never_decreases_a_total(increments: list[float], total: float) -> None:
    store = Store()
    value, shown = 0.1, [total]
    store.kept[KEY] = Total(
        "host", "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "x", None, total, 0
    )
    one = started(store)
    for number, increment in enumerate(increments):
        value += increment
        one.store_ticks([tick(number + 1, value)], store.append)
        shown.append(one.exported_value(tick(number + 1, value), 0))
    assert all(before <= now for before, now in pairwise(shown))


# --- lost pauses, and the time of exported totals -------------------------------------------------------------------


def reset_store(channel: Channel = RAPL) -> Store:
    """Return a store whose counter was reset at 11 s and counted 3 J since; its total was stored at 12 s."""
    store = Store()
    one = started(store, channel)
    one.store_ticks([tick(10, 500.0)], store.append)
    one.store_ticks([tick(11, math.nan, rejections=(Rejection(0, Reason.RESET),))], store.append)
    one.store_ticks([tick(12, 503.0)], store.append)
    return store


def test_the_pause_after_a_reset_is_logged_and_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    store = reset_store()
    one = started(store)
    one.store_ticks([tick(72, 490.0)], store.append)
    assert one.exported_value(tick(72, 490.0), 0) == 503.0
    assert one.lost_seconds() == {RAPL.key: 60.0}
    (record,) = caplog.records
    assert record.getMessage() == "the count of a pause is unknown"
    assert record.pairs["pause_seconds"] == 60.0


def test_the_pause_of_the_second_start_after_a_reset_is_known_again() -> None:
    store = reset_store()
    started(store).store_ticks([tick(72, 490.0)], store.append)
    again = started(store)
    again.store_ticks([tick(80, 495.0)], store.append)
    assert again.lost_seconds() == {}
    assert again.exported_value(tick(80, 495.0), 0) == 508.0


@pytest.mark.parametrize(("pause", "value"), [(60.0, 1.0), (100.0, 20.0)], ids=["decreased", "may have wrapped twice"])
def test_every_pause_with_an_unknown_count_is_counted_as_lost(pause: float, value: float) -> None:
    store = kept(500.0)
    one = started(store, PLAIN if pause == 60.0 else RAPL)
    one.store_ticks([tick(10 + pause, value)], store.append)
    assert sum(one.lost_seconds().values()) == pytest.approx(pause)


def test_a_reboot_and_an_estimate_have_no_lost_pause() -> None:
    assert started_with(reset_store(), boot_id="next").lost_seconds() == {}
    assert started_with(kept(5.0, ESTIMATE), ESTIMATE).lost_seconds() == {}


def started_with(store: Store, *channels: Channel, **how: str) -> CounterAccumulator:
    one = started(store, *channels, **how)
    one.store_ticks([tick(72, 490.0)], store.append)
    return one


def test_the_exported_time_is_that_of_the_stored_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    one = started(store)
    first, second = tick(10, 100.0), tick(11, 150.0)
    assert one.exported_at_ns(first) == first.end_ns
    one.store_ticks([first], store.append)
    assert (one.exported_value(second, 0), one.exported_at_ns(second)) == (100.0, first.end_ns)
    store.fails = True
    with pytest.raises(OSError, match="full"):
        one.store_ticks([second], store.append)
    assert (one.exported_value(second, 0), one.exported_at_ns(second)) == (100.0, first.end_ns)
    monkeypatch.setattr("agent.sampling.counter_accumulator._UNSTORED_EXPORT_SECONDS", 0.0)
    assert (one.exported_value(second, 0), one.exported_at_ns(second)) == (150.0, second.end_ns)


def test_a_layout_without_counters_exports_its_latest_sample() -> None:
    assert started(Store(), GAUGE).exported_at_ns(tick(10, 5.0)) == 10 * SECOND
