"""Selects and formats the figures that several parts of a printed profile show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import percent, plain, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_Json = dict[str, Any]
_SECONDS_FROM, _MILLISECONDS_FROM = 10.0, 0.001
"""The longest of several times, in seconds, from which all are shown in seconds or milliseconds."""


def best_point(points: Sequence[_Json]) -> _Json | None:
    """Return the point of the least energy per inference, without energies that of the highest rate.

    Points that met a service level come first.
    """
    points = [point for point in points if _met(point)] or points
    known = [point for point in points if point["energy"]]
    if known:
        return min(known, key=joules_per_inference)
    return max(points, key=lambda point: float(point["inferences_per_second"]["mean"]), default=None)


def _met(point: _Json) -> bool:
    goodput = point["serving"]["goodput"] if point.get("serving") else None
    return bool(goodput and goodput["met"])


def joules_per_inference(point: _Json) -> float:
    """Return the mean energy of an inference."""
    return float(point["energy"]["joules_per_inference"]["total"]["mean"])


def preferred_cost(cost: _Json) -> tuple[str, _Json] | None:
    """Return the basis that a summary shows and its costs: allocation if a utilization was given, else usage."""
    basis = "allocation" if cost["allocation"] else "usage"
    return (basis, cost[basis]) if cost[basis] else None


def total_cost(parts: Mapping[str, _Json | None]) -> _Json | None:
    """Return the sum of the known parts of a cost, with the bounds that all of them have."""
    known = [part for part in parts.values() if part]
    if not known:
        return None
    ends = {name: [part[name] for part in known] for name in ("mean", "lower", "upper")}
    return {name: None if None in values else sum(values) for name, values in ends.items()}


def figure(value: _Json, unit: str = "", factor: float = 1.0) -> str:
    """Return a mean with its bounds, each times `factor`: `0.627 J ±12 %`, `0.627 J (0 to 1.31)`."""
    mean, lower, upper = (None if value[name] is None else value[name] * factor for name in ("mean", "lower", "upper"))
    bounds = spread(mean or 0.0, lower, upper)
    shown = f"{plain(mean)} {unit}".strip()
    if not bounds:
        return shown
    return f"{shown} {bounds}" if bounds.startswith("±") else f"{shown} ({bounds})"


def time_unit(seconds: Iterable[float | None]) -> tuple[float, str]:
    """Return the factor and the unit in which all of these times are shown."""
    longest = max((each for each in seconds if each is not None), default=0.0)
    if longest >= _SECONDS_FROM:
        return 1.0, "s"
    return (1e3, "ms") if longest >= _MILLISECONDS_FROM or not longest else (1e6, "µs")


def energy_source(energy: _Json) -> str:
    """Return the source of a point's energy, with the estimated share if it is mixed."""
    source = str(energy["joules_per_inference"]["total"]["source"])
    return f"{percent(energy['estimated_share'])} estimated" if source == "mixed" else source


def unmeasured_reason(document: Mapping[str, Any]) -> str:
    """Return the reason for a total without a sensor; a profile of a server elsewhere has no devices."""
    served = any(point.get("serving") for point in document["points"])
    if served and not document["devices"]:
        return "the server is on another host"
    return "nothing on this host measures power"
