"""The state of a fleet as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agent.render.quantities import rfc3339
from agent.render.tables import table, wrapped

if TYPE_CHECKING:
    from agent.comparison.fleet_hosts import FleetState, HostState

_COLUMNS = ("host", "state", "profiles>", "newest (UTC)", "age>", "version")
_SHOWN = 40
_VERSIONS = 5
_AGES = ((172_800.0, 86_400.0, "d"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"))
"""The shortest age in seconds for each unit."""


def fleet_text(state: FleetState, width: int) -> str:
    """Return the counts of hosts, and a table of those that need attention first."""
    counts = ", ".join(f"{state.count(each):,} {each}" for each in ("current", "stale", "ahead", "missing"))
    lines = [f"{len(state.hosts):,} host{'' if len(state.hosts) == 1 else 's'}: {counts}"]
    if len(state.versions) > 1:
        ordered = sorted(state.versions.items(), key=lambda each: -each[1])
        versions = ", ".join(f"{name} on {count:,}" for name, count in ordered[:_VERSIONS])
        more = f", and {len(ordered) - _VERSIONS:,} others" if len(ordered) > _VERSIONS else ""
        lines.append(wrapped(f"versions of Inferometer differ: {versions}{more}", width, 2))
    if state.hosts:
        lines += ["", table(_COLUMNS, map(_cells, state.hosts[:_SHOWN]), width)]
    noted = [host for host in state.hosts[:_SHOWN] if host.notes]
    lines += [wrapped(f"{host.name}: {'; '.join(host.notes)}", width, 2) for host in noted]
    if len(state.hosts) > _SHOWN:
        lines.append(f"and {len(state.hosts) - _SHOWN:,} more; --json has all")
    return "\n".join(lines)


def _cells(host: HostState) -> tuple[str, ...]:
    newest = "-" if host.newest_ns is None else rfc3339(host.newest_ns)[:16].replace("T", " ")
    version = host.inferometer_version or "-"
    return host.name, host.state, f"{host.profiles:,}", newest, age_text(host.age_seconds), version


def age_text(seconds: float | None) -> str:
    """Return a time since an event in its largest unit: `3 d`, `-2 h` for the future; `-` for None."""
    if seconds is None:
        return "-"
    for shortest, unit, name in _AGES:
        if abs(seconds) >= shortest:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def fleet_json(state: FleetState) -> dict[str, Any]:
    """Return the state as JSON values, with times by RFC 3339."""
    hosts = [
        {**asdict(host), "newest": None if host.newest_ns is None else rfc3339(host.newest_ns)} for host in state.hosts
    ]
    return {"hosts": hosts, "versions": dict(state.versions)}
