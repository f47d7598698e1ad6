"""`inferometer devices`: what can be read on this host, what cannot, and why."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, answer, answer_json, configuration, discovered
from agent.cli.tables import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.model import Channel
    from probes.registry import Discovery

_COLUMNS = 100
_NARROWEST = 30


def devices(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """List the sensors that can be read here, those that cannot, and why.

    A device has domains, each covered by a sensor: `measured` by hardware or `estimated` by a model.

    Example: inferometer devices

    Example: inferometer devices --path.sysfs /host/sys --json
    """
    with discovered(configuration(context)) as found:
        if as_json:
            answer_json(document(found))
        else:
            _show(found)


def document(found: Discovery) -> dict[str, Any]:
    """Return what was found as a JSON document."""
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
            entry["channels"].append(_channel(probe.name, channel))
    return {
        "devices": list(devices.values()),
        "unreadable": [{"subject": p.subject, "reason": p.reason, "remedy": p.remedy} for p in found.problems],
        "absent": [{"family": a.family, "reason": a.reason, "remedy": a.remedy} for a in found.absences],
    }


def _channel(probe: str, channel: Channel) -> dict[str, Any]:
    return {
        "probe": probe,
        "domain": channel.domain,
        "metric": channel.metric,
        "source": channel.source.value,
        "method": channel.method,
        "refresh_seconds": channel.refresh_seconds or None,
        "contained_in": [list(key) for key in channel.contained_in],
        "uncertainty": channel.uncertainty or None,
    }


def _show(found: Discovery) -> None:
    for lines in _device_lines(found):
        for line in lines:
            answer(line)
    for problem in found.problems:
        answer(f"\ncannot be read: {problem.subject}\n  why:    {problem.reason}\n  remedy: {problem.remedy}")
    if found.absences:
        answer("")
    for absence in found.absences:
        remedy = f"; {absence.remedy}" if absence.remedy else ""
        answer(f"not here: {absence.family}: {absence.reason}{remedy}")


def _device_lines(found: Discovery) -> Iterator[list[str]]:
    """Yield the lines of each device: who it is, then what each probe reads of its domains."""
    rows: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    heads: dict[str, tuple[str, str]] = {}
    for probe in found.probes:
        for channel in probe.channels:
            device = channel.device
            heads[device.id] = (device.kind.value, device.name or heads.get(device.id, ("", ""))[1])
            half = f" to ±{percent(channel.uncertainty)}" if channel.uncertainty else ""
            row = (channel.domain, channel.source.value + half, probe.name.partition("/")[0])
            rows.setdefault(device.id, {}).setdefault(row, []).append(channel.metric)
    widths = [max(map(len, cells)) for cells in zip(*(row for own in rows.values() for row in own), strict=True)]
    for device_id, own in rows.items():
        kind, name = heads[device_id]
        lines = [f"{device_id}  {kind}  {name}".rstrip()]
        for row, metrics in own.items():
            start = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            wrapped = wrap(", ".join(metrics), max(_COLUMNS - len(start) - 4, _NARROWEST))
            lines += [f"  {start}  {wrapped[0]}", *(" " * (len(start) + 4) + more for more in wrapped[1:])]
        yield lines
