"""The sensors counted on machines of every build, by the probes' own channels, also if sensors stop."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.energy.containment import ACCELERATORS
from agent.energy.counted_sensors import Boundary, best_channels, cover, coverage
from probes.model import Kind, Source
from simulated import SECOND
from store.records import Series
from topologies import TOPOLOGIES

MOST_SENSORS = 24
PAGE = Path(__file__).parents[3] / "docs/topologies.md"
TABLE = re.compile(r"(?<=<!-- topologies -->\n).*?(?=<!-- end of topologies -->)", re.DOTALL)


def name_of(channel):
    return channel.path


@pytest.fixture(scope="module")
def channels_of(tmp_path_factory):
    """Gives the channels of a machine as discovery finds them."""
    found = {each.name: each.channels(tmp_path_factory.mktemp("machine")) for each in TOPOLOGIES}
    return lambda topology: found[topology.name]


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda each: each.name)
def test_each_joule_of_a_machine_counts_once(topology, channels_of):
    for channels in (channels_of(topology), channels_of(topology)[::-1]):
        found = coverage(channels)
        assert sorted(map(name_of, found.includes)) == sorted(topology.added)
        assert found.boundary is topology.boundary
        assert found.not_covered == topology.not_covered


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda each: each.name)
def test_sampled_sensors_add_up_like_discovered_ones(topology, channels_of):
    found = cover(map(moving, energetic(channels_of(topology))), channels_of(topology))
    assert {name_of(channel) for channel in found.includes} == topology.added
    assert (found.boundary, found.not_covered) == (topology.boundary, topology.not_covered)


# --- sensors that stop --------------------------------------------------------------------------------------------


def energetic(channels):
    return [channel for channel in channels if channel.metric in {"energy_joules", "power_watts"}]


def moving(channel):
    rate = 1 + len(channel.device.id) % 7
    values = [1000.0 + rate * (number if channel.metric == "energy_joules" else number % 2) for number in range(20)]
    return Series(channel, tuple(number * SECOND for number in range(20)), values)


def dead(channel, *, still):
    times = tuple(number * SECOND for number in range(20)) if still else ()
    return Series(channel, times, tuple(0.0 for _ in times))


def seen(topology, channel):
    """Return the places that a sensor sees: what the machine says, else by the kind and domain of the sensor."""
    place, domain = topology.places.get(channel.device.id, channel.device.id), channel.domain
    if name_of(channel) in topology.covers:
        return topology.covers[name_of(channel)]
    if channel.device.kind is Kind.PSU:
        return (f"behind {place}",)
    if domain in {"wall", "node", "sys_total"}:
        return ("",)
    if domain == "dram":
        return (f"memory.{place}",)
    whole = domain in {"package", "card", "board", "board-average", "socket"}
    return (place,) if whole else (f"{place}.{domain}",)


def is_in(place, outer):
    return not outer or place == outer or place.startswith(f"{outer}.")


def is_computing(device):
    return device.kind in {Kind.CPU, *ACCELERATORS}


def reaches(channels):
    """Return every pair of (device, domain)s of which the first holds the second, over any number of steps."""
    pairs = {(outer, c.place) for c in channels for outer in c.contained_in}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


@pytest.mark.system
@settings(max_examples=200)
@given(
    topology=st.sampled_from(TOPOLOGIES),
    fates=st.lists(st.sampled_from(["alive", "silent", "still"]), min_size=MOST_SENSORS, max_size=MOST_SENSORS),
)
def test_with_any_dead_sensor_nothing_counts_twice_and_missing_parts_are_named(channels_of, topology, fates):
    channels = channels_of(topology)
    sensors = energetic(channels)
    assert len(sensors) <= MOST_SENSORS
    pairs = list(zip(sensors, fates, strict=False))
    series = [moving(c) if fate == "alive" else dead(c, still=fate == "still") for c, fate in pairs]
    found = cover(series, channels)
    check_that_nothing_counts_twice(topology, channels, found)
    alive = {channel.key for channel, fate in pairs if fate == "alive"}
    if alive:
        assert {channel.key for channel in found.includes} <= alive
    check_that_nothing_is_missed_in_silence(topology, channels, found)


def check_that_nothing_counts_twice(topology, channels, found):
    added = [channel.place for channel in found.includes]
    assert len(set(added)) == len(added)
    estimates = {c.place for c in channels if c.source is Source.ESTIMATED}
    nested = {(outer, inner) for outer, inner in reaches(channels) if outer not in estimates}
    assert not [(outer, inner) for outer in added for inner in added if (outer, inner) in nested]
    places = [(place, channel) for channel in found.includes for place in seen(topology, channel)]
    for position, (place, channel) in enumerate(places):
        for other, second in places[:position]:
            assert channel == second or not (is_in(place, other) or is_in(other, place)), (place, other)


def check_that_nothing_is_missed_in_silence(topology, channels, found):
    """Each processor and accelerator is in the total, or named: itself, in general, or by the sensor that sees it."""
    added = [place for channel in found.includes for place in seen(topology, channel)]
    if found.boundary in {Boundary.WALL, Boundary.NODE} and any(place.startswith("behind") for place in added):
        added.append("")
    said = " ".join(found.not_covered)
    silent = [channel for channel in channels if f"{name_of(channel)} (its sensor shows nothing)" in found.not_covered]
    named = [place for channel in silent for place in seen(topology, channel)]
    for device in {channel.device.id: channel.device for channel in channels if is_computing(channel.device)}.values():
        general = "processors" if device.kind is Kind.CPU else "accelerators"
        place = topology.places.get(device.id, device.id)
        is_named = device.id in said or general in found.not_covered or found.boundary is Boundary.NONE
        assert is_named or any(is_in(place, outer) for outer in (*added, *named)), (device.id, added, said)


# --- the page -------------------------------------------------------------------------------------------------------


def table(channels_of):
    lines = ["| machine | added to the total | left out: inside it, or the same again | boundary | not covered |"]
    lines.append("|---|---|---|---|---|")
    for each in TOPOLOGIES:
        names = [name_of(channel) for channel in best_channels(channels_of(each))]
        left = [name for name in names if name not in each.added]
        cells = (spans(name for name in names if name in each.added), spans(left), f"`{each.boundary}`")
        lines.append(f"| {each.name} | {' | '.join(cells)} | {'; '.join(each.not_covered) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def spans(names):
    return ", ".join(f"`{name}`" for name in names) or "-"


def test_the_page_shows_the_same_total_for_every_machine(channels_of):
    """After a wanted change: INFEROMETER_WRITE_GOLDEN=1 pytest of this file, then read the difference."""
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        PAGE.write_text(TABLE.sub(lambda _: table(channels_of), text), encoding="utf-8")
        text = PAGE.read_text(encoding="utf-8")
    assert TABLE.findall(text) == [table(channels_of)]
