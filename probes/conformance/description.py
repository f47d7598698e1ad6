"""Checks of the description of sensors: channels, containment, exclusions, and a host without the hardware."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from probes.conformance.bench import Bench, require
from probes.errors import ProbeUnavailableError
from probes.model import ENERGY_METRICS, METRICS, Channel, Roots
from probes.settings import ALL_SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from probes.model import Probe, Problem

    Place = tuple[str, str]


def order(bench: Bench) -> str:
    """Check that two discoveries and all reads have the same channels in the same order."""
    probes = bench.discovered()
    before = {probe.name: probe.channels for probe in probes}
    require(len(before) == len(probes), f"several probes have one name: {sorted(probe.name for probe in probes)}")
    for _ in range(2):
        bench.step()
        bench.read_all()
        for probe in probes:
            require(probe.channels == before[probe.name], f"the channels of {probe.name} change after discovery")
    bench.close_probes()
    again = {probe.name: probe.channels for probe in bench.discovered()}
    require(list(again) == list(before), f"the second discovery finds {list(again)}, the first one {list(before)}")
    for name, channels in again.items():
        sentence = f"the second discovery has the channels of {name} in another order"
        require(_keys(channels) == _keys(before[name]), sentence)
    return f"{len(before)} probes, {sum(map(len, before.values()))} channels"


def description(bench: Bench) -> str:
    """Check that each channel has a known metric, a stable identity of printable text, and plausible properties."""
    channels = _channels(bench.discovered())
    keys = [channel.key for channel in channels]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    require(not twice, f"several channels have one key: {twice}")
    for channel in channels:
        known = channel.metric in METRICS
        require(known, f"{channel.path} has the metric {channel.metric!r}, which probes/model.py does not list")
        for text in (channel.device.id, channel.domain, channel.device.name):
            is_line = text.isprintable() and text == text.strip()
            require(is_line, f"{text!r} of {channel.path} is not one printable line")
        require(channel.device.id and channel.domain, f"{channel.path!r} lacks its device or its domain")
        numbers = (channel.refresh_seconds, channel.resolution, channel.max_plausible, channel.wraps_at)
        require(min(numbers) >= 0, f"{channel.path} has a negative property: {numbers}")
        if channel.metric in ENERGY_METRICS:
            require(channel.method, f"{channel.path} does not name the method of its {channel.metric}")
    return f"{len(channels)} channels"


def containment(bench: Bench) -> str:
    """Check that containers exist here or are named by the host, and that no place contains itself."""
    channels = _channels(bench.discovered())
    own = {channel.place for channel in channels if channel.metric in ENERGY_METRICS}
    outer: dict[Place, set[Place]] = {}
    for channel in channels:
        outer.setdefault(channel.place, set()).update(channel.contained_in)
        for place in channel.contained_in:
            exists = place in own or place in bench.host.containers
            sentence = f"{channel.path} is contained in {'/'.join(place)}, which neither the family nor the host has"
            require(exists, sentence)
    for place in outer:
        require(place not in _reached(place, outer), f"{'/'.join(place)} contains itself")
    count = sum(bool(containers) for containers in outer.values())
    return f"{count} of {len(outer)} places are contained in others"


def absence(bench: Bench) -> str:
    """Check that a host without the hardware raises ProbeUnavailableError with a reason, or finds nothing."""
    empty = str(bench.folder / "empty")
    roots = Roots(empty, empty, f"{empty}/libnvidia-ml.so.1", empty, empty, empty)
    try:
        found = bench.search(ALL_SENSORS, roots)
    except ProbeUnavailableError as error:
        require(error.reason, "ProbeUnavailableError has no reason")
        return error.reason
    names = [probe.name for probe in found.probes]
    require(not names, f"discovery found {names} on a host without any hardware")
    return "nothing found"


def exclusion(bench: Bench) -> str:
    """Check that an excluded device has no channel, and that the result names the exclusion."""
    devices = list(dict.fromkeys(channel.device.id for channel in _channels(bench.discovered())))
    for device in devices:
        bench.close_probes()
        try:
            found = bench.search(replace(bench.host.settings, exclude=(device,)))
        except ProbeUnavailableError as error:
            raise AssertionError(f"with {device} excluded, discovery raises: {error.reason}") from error
        left = [channel.path for channel in _channels(found.probes) if channel.device.id == device]
        require(not left, f"{device} is excluded, and {left} is read")
        require(device in found.excluded, f"the result of discovery does not name the exclusion of {device}")
    return f"{len(devices)} devices"


def problems_have_remedies(problems: Iterable[Problem]) -> None:
    """Check that each problem has the name of its sensor, the cause and the remedy."""
    for problem in problems:
        require(problem.sensor and problem.reason, f"a problem lacks its sensor or its cause: {problem}")
        require(problem.remedy, f"the problem of {problem.sensor} has no remedy: {problem.reason}")


def _channels(probes: Iterable[Probe]) -> list[Channel]:
    return [channel for probe in probes for channel in probe.channels]


def _keys(channels: Iterable[Channel]) -> list[tuple[str, str, str, str]]:
    return [channel.key for channel in channels]


def _reached(place: Place, outer: Mapping[Place, set[Place]]) -> set[Place]:
    """Return every place that contains this one, directly or not."""
    reached: set[Place] = set()
    waiting = set(outer.get(place, ()))
    while waiting:
        reached |= waiting
        waiting = {further for found in waiting for further in outer.get(found, ())} - reached
    return reached
