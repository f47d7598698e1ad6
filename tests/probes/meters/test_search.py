"""The discovery of configured meters: each apart, within a deadline."""

from __future__ import annotations

import math
import socket
from threading import Event
from types import MappingProxyType

import pytest

from meters import found, meter
from probes.deadline import NoAnswerError
from probes.errors import ProbeUnavailableError, ReadError
from probes.meters import search
from probes.meters.exchange import Exchange
from probes.meters.probe import MeterProbe, Quantity, Reading
from probes.meters.search import discover_meters, unencrypted
from probes.plugs import discover
from probes.settings import SensorSettings
from waiting import await_true


class FakeSource:
    """A source whose readings a test sets; None is nothing new."""

    reported = MappingProxyType({})
    interval_seconds = 1.0
    quantities = (
        Quantity("energy_joules", "counter", 1.0, 1.0),
        Quantity("power_watts", "instant", 1.0, 0.1),
    )

    def __init__(self, *readings: Reading | Exception | None) -> None:
        self.readings = list(readings)
        self.closed = 0

    def read(self) -> Reading | None:
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    def close(self) -> None:
        self.closed += 1


def reading(watts: float | None, joules: float | None, at: int = 0) -> Reading:
    return Reading(watts, joules, (at, at + 1))


def test_without_a_configured_meter_the_family_is_absent() -> None:
    with pytest.raises(ProbeUnavailableError, match="no meter of kind shelly or tasmota is configured") as error:
        found(discover, meter("mqtt", "mqtt://broker"))
    assert error.value.remedy == ""


def test_a_meter_that_fails_costs_no_other_one() -> None:
    sources = {
        "one": FakeSource(reading(1.0, 2.0)),
        "two": FakeSource(ReadError("no answer")),
        "three": FakeSource(reading(1.0, None)),
    }
    meters = tuple(meter("x", "http://a", name=name) for name in sources)
    result = discover_meters("family", ("x",), SensorSettings(meters=meters), lambda each: sources[each.name])
    assert [probe.name for probe in result.probes] == ["family/meter-one", "family/meter-three"]
    (problem,) = result.problems
    assert (problem.sensor, problem.reason) == ("meter-two (http://a)", "no answer")
    assert problem.device is None
    assert [source.closed for source in sources.values()] == [0, 1, 0]


def test_an_excluded_meter_is_not_connected() -> None:
    meters = (meter("x", "http://a", name="one"),)
    for entry in ("meter-one", "meter-one/wall"):
        settings = SensorSettings(exclude=(entry,), meters=meters)
        result = discover_meters("family", ("x",), settings, lambda _: pytest.fail("connected"))
        assert (result.probes, result.excluded) == ((), frozenset({entry}))


def test_a_meter_that_does_not_answer_is_a_problem_and_is_closed_when_it_does() -> None:
    answered, source = Event(), FakeSource(reading(1.0, 2.0))

    def connect(_: object) -> FakeSource:
        answered.wait(30)
        return source

    meters = (meter("x", "http://a"),)
    result = discover_meters("family", ("x",), SensorSettings(meters=meters), connect, seconds=0.05)
    assert "did not answer within 0.05 s" in result.problems[0].reason
    answered.set()
    await_true(lambda: source.closed)
    assert source.closed == 1


def test_many_meters_that_do_not_answer_share_one_time_limit(monkeypatch) -> None:
    waited = []

    class Hanging:
        def __init__(self, *_: object) -> None:
            pass

        def result(self, seconds: float) -> object:
            waited.append(max(0.0, seconds))
            raise NoAnswerError

    monkeypatch.setattr(search, "Call", Hanging)
    monkeypatch.setattr(search.time, "monotonic", lambda: sum(waited))
    meters = tuple(meter("x", "http://a", name=f"m{number}") for number in range(20))
    result = discover_meters("family", ("x",), SensorSettings(meters=meters), FakeSource, seconds=5.0)
    assert len(result.problems) == 20
    assert sum(waited) == 5.0


def test_a_port_that_never_answers_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (problem,) = found(discover, meter("shelly", url)).problems
        assert "did not answer within" in problem.reason


def test_meters_of_a_host_are_inside_those_of_the_rack() -> None:
    rack = meter("x", "http://a", name="pdu", feeds="rack")
    for feeds, domain in (("host", "wall"), ("supply", "feed")):
        own = meter("x", "http://b", name="desk", feeds=feeds)
        settings = SensorSettings(meters=(rack, own))
        result = discover_meters("family", ("x",), settings, lambda _: FakeSource(reading(1.0, 2.0)))
        outer, inner = (probe.channels[0] for probe in result.probes)
        assert (outer.path, outer.contained_in, outer.max_plausible) == ("meter-pdu/rack", (), 200_000.0)
        assert (inner.path, inner.contained_in) == (f"meter-desk/{domain}", (("meter-pdu", "rack"),))


def test_a_password_without_encryption_is_a_note() -> None:
    for url, user, is_noted in (
        ("http://192.0.2.7", "", True),
        ("https://192.0.2.7", "", False),
        ("http://127.0.0.1", "", False),
        ("mqtt://192.0.2.7", "me", True),
        ("mqtts://192.0.2.7", "me", False),
        ("snmp://192.0.2.7", "", True),
        ("snmp://192.0.2.7", "me", False),
        ("local", "", False),
    ):
        note = unencrypted(meter("x", url, user=user, password_file="/p"))
        assert (note is not None) == is_noted, url
        assert note is None or not note.is_unreadable
    assert unencrypted(meter("x", "http://192.0.2.7")) is None


def test_a_reading_is_checked_like_every_other_sensor() -> None:
    source = FakeSource(
        reading(40.0, 100.0, 0),
        reading(-50.0, 140.0, 10**9),
        reading(1e9, -1.0, 2 * 10**9),
        reading(40.0, float("nan"), 3 * 10**9),
        reading(None, 260.0, 6 * 10**9),
    )
    probe = MeterProbe("family", meter("x", "http://a"), source)
    shown = [probe.read(at * 10**9) for at in (0, 1, 2, 3, 6)]
    assert [[not math.isnan(value) and value for value in values] for values in shown] == [
        [100.0, 40.0],
        [140.0, False],
        [False, False],
        [False, 40.0],
        [260.0, False],
    ]
    assert [(each.channel, each.reason) for each in probe.rejections] == [
        (1, "impossible"),
        (0, "impossible"),
        (1, "impossible"),
        (0, "impossible"),
    ]


def test_a_reading_without_any_value_is_a_failed_read() -> None:
    probe = MeterProbe("family", meter("x", "http://a"), FakeSource(reading(None, None)))
    with pytest.raises(ReadError, match="reports neither power nor energy"):
        probe.read(0)


def test_a_schedule_of_the_interval_reads_the_meter_every_time_despite_jitter() -> None:
    probe = MeterProbe("family", meter("x", "http://a"), FakeSource(*(reading(1.0, 2.0) for _ in range(5))))
    times = [(second * 1000 + offset) * 10**6 for second, offset in enumerate((0, 40, 0, 80, 20))]
    assert [probe.read(at_ns) for at_ns in times] == [[2.0, 1.0]] * len(times)


def test_nothing_new_is_no_sample() -> None:
    probe = MeterProbe("family", meter("x", "http://a"), FakeSource(None, reading(1.0, 2.0)))
    assert all(map(math.isnan, probe.read(0)))
    assert probe.taken_ns is None
    assert probe.read(10**9) == [2.0, 1.0]
    assert probe.taken_ns == (0, 1)


def test_a_request_that_hangs_is_not_repeated_until_it_ends() -> None:
    released, exchange, started = Event(), Exchange("desk", 0.05), []

    def hang() -> int:
        started.append(1)
        released.wait(30)
        return 1

    with pytest.raises(ReadError, match=r"desk did not answer within 0\.05 s"):
        exchange.run(hang)
    with pytest.raises(ReadError, match="still has not answered an earlier request"):
        exchange.run(hang)
    assert len(started) == 1
    released.set()

    def answers() -> bool:
        try:
            return exchange.run(lambda: 2) == 2
        except ReadError:
            return False

    await_true(answers)
