"""Probes whose sensors another host reads."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.api.counters import CounterView
from agent.runtime.clock import Timebase
from agent.sampling.probe_reader import ProbeHealth, ProbeReader
from agent.sampling.remote.feed import Reading
from agent.sampling.remote.probe import SLOWEST_SECONDS, RemoteProbe
from agent.sampling.remote.records import Counters, decode, encode
from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, Device, Kind, Reason, Rejection, TimedProbe
from store.records import Host, Layout, Tick

if TYPE_CHECKING:
    from agent.sampling.remote.feed import Feed

SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND
"""The other host's clock at 0 of this one's."""
CPU = Device("package-0", Kind.CPU, "a processor", (("cores", "8"),))
ENERGY = Channel(CPU, "package", "energy_joules", refresh_seconds=0.001, contained_in=(("host", "psys"),))
POWER = Channel(CPU, "dram", "power_watts")
LAYOUT = Layout(1, "rapl", (ENERGY, POWER))
HOST = Host("the-id", "node1", cpu_flags=("avx2",), cores=8)


class Service:
    """A service on another host: a feed that answers from memory, with a clock that is known to within 1 ms."""

    url = "http://node1:19795"

    def __init__(self) -> None:
        self.state = ProbeHealth("rapl", 1.0)
        self.layout = LAYOUT
        self.now = 0.0
        self.error = ""
        self.restart()

    def restart(self) -> None:
        self._view = CounterView(HOST, [self.layout], [self.state], [], lambda: UNIX + round(self.now * SECOND))

    def tick(self, at: float, *values: float) -> None:
        end_ns = UNIX + round(at * SECOND)
        self.state.latest = Tick(1, end_ns - 2000, end_ns, values)

    def read(self, at_ns: int) -> Reading:
        self.now = at_ns / SECOND
        if self.error:
            raise ReadError(self.error)
        return Reading(decode(self._view.encoded()), UNIX - 500_000, UNIX + 500_000)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def probe(service: Service) -> RemoteProbe:
    service.tick(1.0, 100.0, 5.0)
    return probe_of(service)


def probe_of(service: Service) -> RemoteProbe:
    feed: Feed = service  # type: ignore[assignment]
    (served,) = service.read(0).counters.probes
    return RemoteProbe(feed, served)


def read(probe: RemoteProbe, at: float) -> list[float]:
    probe.rejections.clear()
    return probe.read(round(at * SECOND))


def test_an_answer_keeps_every_property_of_a_host_and_its_channels():
    every = replace(
        ENERGY, resolution=1e-6, max_plausible=500.0, wraps_at=262143.3, observed_refresh_seconds=0.00099, aliased=True
    )
    view = CounterView(HOST, [Layout(1, "rapl", (every,))], [ProbeHealth("rapl", 0.5)], [POWER], lambda: UNIX)
    counters = decode(view.encoded())
    assert counters.host == HOST
    assert counters.uncovered == (POWER,)
    assert counters.probes[0].channels == (every,)
    assert (counters.now_ns, counters.probes[0].period_seconds) == (UNIX, 0.5)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"session": 5}', b"<html>"])
def test_an_answer_of_another_program_is_an_error(text: bytes):
    with pytest.raises(ValueError, match=r"JSON|truncated|Object|Expected|field"):
        decode(text)


def test_an_answer_with_too_few_values_is_an_error(service: Service):
    service.tick(1.0, 100.0)
    with pytest.raises(ValueError, match="1 values for 2 channels of rapl"):
        service.read(0)


def test_a_rejection_of_an_unknown_channel_is_an_error(service: Service):
    service.state.rejected[5, "reset"] = 1
    with pytest.raises(ValueError, match="does not have"):
        service.read(0)


def test_values_have_the_time_at_which_the_other_host_read_them_and_the_doubt_about_its_clock(probe: RemoteProbe):
    assert read(probe, 1.7) == [100.0, 5.0]
    assert probe.taken_ns == (SECOND - 2000 - 500_000, SECOND + 500_000)


def test_a_tick_is_taken_once(service: Service, probe: RemoteProbe):
    read(probe, 1.5)
    assert all(map(math.isnan, read(probe, 1.6)))
    assert probe.taken_ns is None
    service.tick(2.0, 110.0, math.nan)
    values = read(probe, 2.1)
    assert values[0] == 110.0
    assert math.isnan(values[1])


def test_a_tick_that_cannot_be_ordered_after_the_last_one_is_left_out(service: Service, probe: RemoteProbe):
    read(probe, 1.5)
    service.tick(1.0 + 1e-6, 101.0, 5.0)
    first = probe.taken_ns
    service.read = lambda _: replace(Service.read(service, 0), lowest_ns=UNIX, highest_ns=UNIX + SECOND)  # type: ignore[method-assign]
    read(probe, 1.6)
    assert first is not None
    assert probe.taken_ns is None


def test_counters_continue_after_a_restart_of_the_service_and_the_count_meanwhile_is_rejected(
    service: Service, probe: RemoteProbe
):
    read(probe, 1.5)
    service.restart()
    service.tick(5.0, 7.0, 6.0)
    values = read(probe, 5.5)
    assert probe.rejections == [Rejection(0, Reason.RESET)]
    assert math.isnan(values[0])
    assert values[1] == 6.0
    service.tick(6.0, 9.0, 6.0)
    service.tick(7.0, 19.0, 6.0)
    first = read(probe, 7.5)[0]
    service.tick(8.0, 49.0, 6.0)
    assert read(probe, 8.5)[0] - first == 30.0
    assert first >= 100.0
    assert probe.rejections == []


def test_a_reset_that_happened_in_a_tick_that_was_not_seen_is_rejected(service: Service, probe: RemoteProbe):
    read(probe, 1.5)
    service.state.rejected[0, "reset"] = 1
    service.state.rejected[0, "sentinel"] = 3
    service.state.rejected[1, "backward"] = 2  # of a gauge
    service.tick(3.0, 120.0, 5.0)
    assert math.isnan(read(probe, 3.5)[0])
    assert probe.rejections == [Rejection(0, Reason.RESET)]
    service.tick(4.0, 121.0, 5.0)
    assert read(probe, 4.5)[0] == 121.0
    assert probe.rejections == []


def test_resets_before_the_first_read_are_no_concern(service: Service):
    service.state.rejected[0, "reset"] = 9
    service.tick(1.0, 100.0, 5.0)
    probe = probe_of(service)
    assert read(probe, 1.5)[0] == 100.0
    assert probe.rejections == []


def test_the_reason_of_the_other_host_for_a_missing_value_is_reported(service: Service, probe: RemoteProbe):
    read(probe, 1.5)
    service.state.reason = "the driver hangs"
    with pytest.raises(ReadError, match="rapl: the driver hangs"):
        read(probe, 2.5)


def test_a_value_that_is_no_longer_fresh_there_is_an_error(probe: RemoteProbe):
    read(probe, 1.5)
    with pytest.raises(ReadError, match="no fresh value"):
        read(probe, 30.0)


def test_a_service_that_does_not_answer_is_a_read_error(service: Service, probe: RemoteProbe):
    service.error = "node1:19795: Connection refused"
    with pytest.raises(ReadError, match="Connection refused"):
        read(probe, 1.5)


def test_sensors_that_the_other_host_no_longer_has_are_lost(service: Service, probe: RemoteProbe):
    service.layout = Layout(1, "rapl", (POWER, ENERGY))
    service.restart()
    with pytest.raises(DeviceLostError, match="no longer has the sensors of rapl"):
        read(probe, 1.5)


def test_a_reader_makes_ticks_of_the_times_of_the_other_host_and_none_without_new_values(probe: RemoteProbe):
    ticks: deque[Tick] = deque()
    state, clock = ProbeHealth("rapl", 1.0), Timebase(UNIX)
    times = iter(range(2 * SECOND, 20 * SECOND, SECOND))
    reader = ProbeReader(
        Layout(7, "rapl", probe.channels), probe, state, clock, ticks, 10, (SECOND, 0), lambda: next(times)
    )
    assert isinstance(probe, TimedProbe)
    reader.read(10 * SECOND)
    reader.read(10 * SECOND)
    (only,) = ticks
    assert (only.start_ns, only.end_ns) == (UNIX + SECOND - 502_000, UNIX + SECOND + 500_000)
    assert (only.layout, only.values) == (7, (100.0, 5.0))
    assert (state.ticks, state.failed, state.last_success_ns) == (1, 0, only.end_ns)


def test_a_probe_is_read_as_often_as_the_other_host_reads_it_within_limits(service: Service):
    for period, expected in ((0.01, 0.1), (1.0, 1.0), (60.0, SLOWEST_SECONDS)):
        service.state.period_seconds = period
        service.tick(1.0, 100.0, 5.0)
        assert probe_of(service).period_seconds == expected


def test_the_session_names_one_recording(service: Service):
    first = service.read(0).counters
    assert msgspec.structs.replace(service.read(0).counters, now_ns=0) == msgspec.structs.replace(first, now_ns=0)
    service.restart()
    again: Counters = service.read(0).counters
    assert again.session != first.session
    assert decode(encode(again)) == again
