"""The sensors of a host as a JSON document and as text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from agent.energy.counted_sensors import coverage
from agent.energy.parts import Part, PartState, parts
from agent.render.tables import percent, wrapped
from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.energy.counted_sensors import Coverage
    from agent.host.observation import Observation
    from probes.model import Channel, Problem
    from probes.registry import Discovery, MissingFamily

_COLUMNS = 100
_MIN_COLUMN_WIDTH = 30
_STATE_WIDTH = 13
_DEAD = "why:    the counter is frozen, so it measures nothing; `inferometer doctor` has the remedy"
_HANGING = "why:    the driver or the device hangs; `inferometer doctor` has the remedy"
_CONSTANT = "note:   a steady load or a device at rest may have a constant power"


def document(found: Discovery, observed: Observation) -> dict[str, Any]:
    """Return devices, channels and problems as a JSON document."""
    covered = coverage(found.channels)
    devices: dict[str, dict[str, Any]] = {}
    for probe in found.probes:
        for channel in probe.channels:
            device = channel.device
            entry = devices.setdefault(
                device.id,
                {"device": device.id, "kind": device.kind.value, "name": "", "attributes": {}, "channels": []},
            )
            entry["name"] = entry["name"] or device.name
            entry["attributes"].update(dict(device.attributes))
            entry["channels"].append(_channel(probe.name, channel, observed, counted=_is_added(channel, covered)))
    return {
        "devices": list(devices.values()),
        "total": {
            "boundary": covered.boundary.value,
            "includes": [{"device": channel.device.id, "domain": channel.domain} for channel in covered.includes],
            "not_covered": list(covered.not_covered),
            "parts": [
                {
                    "name": part.name,
                    "kind": part.kind.value,
                    "state": part.state.value,
                    "sensors": [{"device": device, "domain": domain} for device, domain in part.sensors],
                }
                for part in parts(covered, found.channels)
            ],
        },
        "unreadable": [_problem(each) for each in found.problems if each.is_unreadable],
        "notes": [_problem(each) for each in found.problems if not each.is_unreadable],
        "excluded": list(found.excluded),
        "not_available": [{"family": a.family, "reason": a.reason, "remedy": a.remedy} for a in found.missing_families],
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {"sensor": problem.sensor, "reason": problem.reason, "remedy": problem.remedy}


def _is_added(channel: Channel, covered: Coverage) -> bool:
    """Return whether this channel object is in the total: two probes may read one domain, and only one is added."""
    return any(channel is added for added in covered.includes)


def _channel(probe: str, channel: Channel, observed: Observation, *, counted: bool) -> dict[str, Any]:
    return {
        "probe": probe,
        "domain": channel.domain,
        "metric": channel.metric,
        "source": channel.source.value,
        "method": channel.method,
        "refresh_seconds": channel.refresh_seconds or None,
        "changed": observed.changed.get(channel.key),
        "answers": channel not in observed.hanging,
        "counted": counted,
        "contained_in": [list(key) for key in channel.contained_in],
        "uncertainty": channel.uncertainty or None,
    }


def device_text(found: Discovery, observed: Observation) -> str:
    """Return devices, problems and the total as text."""
    return "\n".join(_lines(found, observed))


def _lines(found: Discovery, observed: Observation) -> Iterator[str]:
    covered = coverage(found.channels)
    for lines in _device_lines(found, covered):
        yield from lines
    yield from _stuck_lines(found, observed)
    if observed.hanging:
        names = ", ".join(f"{each.path} {each.metric}" for each in observed.hanging)
        yield f"\nno answer for {observed.seconds:g} s: {names}\n  {_HANGING}"
    for problem in found.problems:
        yield f"\n{problem.label}: {problem.sensor}\n  why:    {problem.reason}\n  remedy: {problem.remedy}"
    if found.excluded:
        yield f"\nexcluded: {', '.join(found.excluded)}"
    yield from _missing_lines(found.missing_families)
    added = ", ".join(channel.path for channel in covered.includes) or "nothing"
    yield f"\ntotal: boundary {covered.boundary}: {added}"
    yield f"not covered: {'; '.join(covered.not_covered) or 'nothing'}"
    yield from _part_lines(covered, found.channels)


def _part_lines(covered: Coverage, channels: Sequence[Channel]) -> Iterator[str]:
    """Yield the parts of each state in one paragraph; a contained part has its meter."""
    rows = parts(covered, channels)
    names = {channel.device.id: channel.device.name for channel in channels}
    for state in PartState:
        own = [_part_text(part, names) for part in rows if part.state is state]
        if own:
            yield wrapped("; ".join(own), _COLUMNS, _STATE_WIDTH, f"{state.value}:")


def _part_text(part: Part, names: Mapping[str, str]) -> str:
    if part.state is PartState.MISSING:
        return f"{part.name} ({names[part.name]})" if names.get(part.name) else part.name
    inside = ", ".join("/".join(place) for place in part.sensors)
    return f"{part.name} in {inside}" if part.state is PartState.CONTAINED else part.name


def _missing_lines(missing: Sequence[MissingFamily]) -> Iterator[str]:
    """Yield a line for each family that a remedy can make available, and the names of the others together."""
    if missing:
        yield ""
    for each in missing:
        if each.remedy:
            yield f"not available: {each.family}: {each.reason}; {each.remedy}"
    if others := ", ".join(each.family for each in missing if not each.remedy):
        yield from wrap(f"not here: {others} (reasons: inferometer devices --families)", _COLUMNS)


def _stuck_lines(found: Discovery, observed: Observation) -> Iterator[str]:
    """Yield a line for the frozen sensors, and one for the power sensors that may be constant."""
    channels = [channel for probe in found.probes for channel in probe.channels if channel.source is Source.MEASURED]
    constant = [channel for channel in channels if observed.changed.get(channel.key) is False]
    dead = [channel for channel in constant if observed.is_stuck(channel)]
    rest = [channel for channel in constant if channel.metric == "power_watts"]
    for words, listed in ((_DEAD, dead), (_CONSTANT, rest)):
        names = ", ".join(f"{each.path} {each.metric}" for each in listed)
        if names:
            yield f"\nunchanged for {observed.seconds:g} s: {names}\n  {words}"


def _device_lines(found: Discovery, covered: Coverage) -> Iterator[list[str]]:
    """Yield the lines of each device: its id, kind and name, then its domains by probe, with `+` for the total."""
    rows: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    heads: dict[str, tuple[str, str]] = {}
    added: set[tuple[str, tuple[str, str, str]]] = set()
    for probe in found.probes:
        for channel in probe.channels:
            device = channel.device
            heads[device.id] = (device.kind.value, device.name or heads.get(device.id, ("", ""))[1])
            half = f" to ±{percent(channel.uncertainty)}" if channel.uncertainty else ""
            row = (channel.domain, channel.source.value + half, probe.name.partition("/")[0])
            rows.setdefault(device.id, {}).setdefault(row, []).append(channel.metric)
            if _is_added(channel, covered):
                added.add((device.id, row))
    widths = [max(map(len, cells)) for cells in zip(*(row for own in rows.values() for row in own), strict=True)]
    for device_id, own in rows.items():
        kind, name = heads[device_id]
        lines = [f"{device_id}  {kind}  {name}".rstrip()]
        for row, metrics in own.items():
            start = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            wrapped = wrap(", ".join(metrics), max(_COLUMNS - len(start) - 4, _MIN_COLUMN_WIDTH))
            mark = "+" if (device_id, row) in added else " "
            lines += [f"{mark} {start}  {wrapped[0]}", *(" " * (len(start) + 4) + more for more in wrapped[1:])]
        yield lines
