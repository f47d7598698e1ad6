"""Meters outside of the host: of all of it, of each supply, of a rack, and their coarse counters."""

from __future__ import annotations

from agent.energy.counted_sensors import Boundary, best_channels, cover, coverage
from probes.model import Channel, Device, Kind
from sensor_channels import channel, nvidia, socket, supply
from store.records import Series

HOST = channel("meter-desk", "wall", Kind.HOST, metric="power_watts")
FEEDS = tuple(
    Channel(Device(f"meter-{name}", Kind.HOST, "", (("meter", "apc"), ("supplies", "2"))), "feed", "power_watts")
    for name in "ab"
)
RACK = channel("meter-rack", "rack", Kind.HOST, metric="power_watts")
PARTS = (*socket(0, "dram"), *nvidia(), *supply("psu-0", "input"))
TIMES = tuple(range(0, 20_000_000_000, 1_000_000_000))


def series(one, values) -> Series:
    return Series(one, TIMES, tuple(map(float, values)))


def test_a_meter_of_the_whole_host_counts_alone() -> None:
    found = coverage((HOST, *PARTS))
    assert (found.boundary, found.includes, found.not_covered) == (Boundary.WALL, (HOST,), ())


def test_the_meters_of_all_supplies_are_added() -> None:
    found = coverage((*FEEDS, *PARTS))
    assert (found.boundary, found.includes, found.not_covered) == (Boundary.WALL, FEEDS, ())


def test_one_of_two_supplies_is_no_total() -> None:
    found = coverage((FEEDS[0], *PARTS))
    assert found.includes == coverage(PARTS).includes
    assert found.not_covered[0] == "meter-a/feed (the meter of another supply shows nothing)"
    silent = cover([series(FEEDS[0], range(20)), Series(FEEDS[1], (), ()), series(socket(0)[0], range(30, 50))])
    assert silent.includes == socket(0)


def test_a_meter_of_a_rack_is_never_added_and_hides_nothing() -> None:
    inside = channel("meter-desk", "wall", Kind.HOST, ("meter-rack", "rack"), metric="power_watts")
    assert coverage((RACK, inside, *PARTS)).includes == (inside,)
    assert coverage((RACK, *PARTS)) == coverage(PARTS)
    assert coverage((RACK,)).boundary is Boundary.NONE
    assert cover([series(RACK, range(400, 420)), series(socket(0)[0], range(20))]).includes == socket(0)


def test_a_meter_without_samples_is_not_in_the_total() -> None:
    found = cover([Series(HOST, (), ()), series(socket(0)[0], range(20))])
    assert found.includes == socket(0)


def test_a_counter_of_coarse_steps_ranks_after_the_power() -> None:
    fine = channel("meter-desk", "wall", Kind.HOST, resolution=3.6)
    coarse = channel("meter-desk", "wall", Kind.HOST, resolution=360_000.0)
    assert best_channels((HOST, fine)) == (fine,)
    assert best_channels((coarse, HOST)) == (HOST,)
    assert best_channels((coarse,)) == (coarse,)
