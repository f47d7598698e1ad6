"""The exported total of a counter after restarts, kills, resets, wraps, suspensions and reboots."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from agent.runtime.clock import Timebase
from agent.sampling.counter_accumulator import CounterAccumulator, gap_energy
from probes.model import Channel, Device, Kind, Reason, Rejection, Source
from store.records import Layout, Total
from stored_totals import CPU, HOST, KEY, PLAIN, RAPL, SECOND, Store, started, tick

GAUGE = Channel(CPU, "package", "power_watts")
ESTIMATE = Channel(CPU, "package", "energy_joules", Source.ESTIMATED)


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
    monkeypatch.setattr("agent.sampling.counter_accumulator._UNSTORED_EXPORT_SECONDS", 3600.0)
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
