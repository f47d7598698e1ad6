"""`inferometer devices`: what can be read on this host, what cannot, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, answer, answer_json, configuration, discovered

if TYPE_CHECKING:
    from probes.model import Channel
    from probes.registry import Discovery


def devices(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """List the sensors that can be read here, those that cannot, and why.

    Example: inferometer devices

    Example: inferometer --path.sysfs /host/sys devices --json
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
    from agent.cli.tables import show

    rows: dict[tuple[str, ...], list[str]] = {}
    for probe in found.probes:
        for channel in probe.channels:
            device = channel.device
            key = (device.id, device.kind.value, device.name, channel.domain, channel.source.value, probe.name)
            rows.setdefault(key, []).append(channel.metric)
    show(
        ("DEVICE", "KIND", "NAME", "DOMAIN", "SOURCE", "PROBE", "METRICS"),
        [(*key[:5], key[5].partition("/")[0], ", ".join(metrics)) for key, metrics in rows.items()],
    )
    for problem in found.problems:
        answer(f"\ncannot be read: {problem.subject}\n  why:    {problem.reason}\n  remedy: {problem.remedy}")
    if found.absences:
        answer("")
    for absence in found.absences:
        remedy = f" ({absence.remedy})" if absence.remedy else ""
        answer(f"not here: {absence.family}: {absence.reason}{remedy}")
