"""A measurement as a JSON document and as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from agent.energy.measurement import is_stuck
from agent.energy.provenance import Provenance
from agent.render.tables import percent, plain, spread, table
from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.energy.measurement import Measurement
    from agent.energy.window import WindowEnergy
    from agent.sampling.facts import SamplingConditions

COLUMNS = ("DEVICE", "DOMAIN", "JOULES>", "RANGE>", "WATTS>", "SOURCE", "IN TOTAL")


def document(measured: Measurement, exit_code: int | None, sampler: SamplingConditions) -> dict[str, Any]:
    """Return a measurement as a JSON document: energies in joules, powers in watts, None if unknown."""
    total = measured.total
    covered = measured.coverage
    counted = {channel.key for channel in covered.includes}
    return {
        "start_ns": measured.start_ns,
        "duration_seconds": measured.seconds,
        "exit_code": exit_code,
        "sampler": msgspec.to_builtins(sampler),
        "total": {
            "joules": total.joules if total else None,
            "lower": total.lower if total else None,
            "upper": total.upper if total else None,
            "mean_watts": total.joules / measured.seconds if total else None,
            "source": measured.source,
            "estimated_share": estimated_share(measured),
            "boundary": covered.boundary.value,
            "includes": [{"device": c.device.id, "domain": c.domain} for c in covered.includes],
            "not_covered": list(covered.not_covered),
        },
        "devices": [
            {
                "device": reading.channel.device.id,
                "kind": reading.channel.device.kind.value,
                "domain": reading.channel.domain,
                "joules": reading.energy.joules if reading.energy else None,
                "lower": reading.energy.lower if reading.energy else None,
                "upper": reading.energy.upper if reading.energy else None,
                "mean_watts": reading.mean_watts,
                "source": reading.channel.source.value,
                "method": reading.method,
                "integrated_joules": reading.integrated.joules if reading.integrated else None,
                "relative_difference": reading.disagreement,
                "relative_uncertainty": reading.channel.uncertainty or None,
                "in_total": reading.channel.key in counted,
                "reasons": [*reading.reasons, *_stuck_reasons(reading)],
            }
            for reading in measured.readings
        ],
    }


def estimated_share(measured: Measurement) -> float | None:
    """Return the share of the total that a model estimated, 0 to 1; None without a total or if it is 0."""
    counted = {channel.key for channel in measured.coverage.includes if channel.source is Source.ESTIMATED}
    joules = [r.energy.joules for r in measured.readings if r.energy and r.channel.key in counted]
    return math.fsum(joules) / measured.total.joules if measured.total and measured.total.joules else None


def measurement_text(measured: Measurement) -> str:
    """Return a measurement as a table of its devices and its total, and a line about its boundary."""
    counted = {channel.key for channel in measured.coverage.includes}
    rows = [_row(reading, in_total=reading.channel.key in counted) for reading in measured.readings]
    if total := measured.total:
        source = str(measured.source)
        if measured.source is Provenance.MIXED:
            source += f" ({percent(estimated_share(measured) or 0.0)} estimated)"
        bounds = spread(total.joules, total.lower, total.upper)
        watts = plain(total.joules / measured.seconds)
        rows.append(("total", measured.coverage.boundary.value, plain(total.joules), bounds, watts, source, ""))
    missing = "; ".join(measured.coverage.not_covered) or "nothing"
    boundary = f"boundary {measured.coverage.boundary.value}; not covered: {missing}"
    return f"{table(COLUMNS, rows)}\n\n{measured.seconds:.3f} s; {boundary}"


def _row(reading: WindowEnergy, *, in_total: bool) -> tuple[str, ...]:
    energy, channel = reading.energy, reading.channel
    return (
        channel.device.id,
        channel.domain,
        plain(energy.joules) if energy else "-",
        spread(energy.joules, energy.lower, energy.upper) if energy else "; ".join(reading.reasons),
        plain(reading.mean_watts),
        channel.source.value,
        "yes" if in_total else "no",
    )


def notes(measured: Measurement) -> Iterator[str]:
    """Yield a line for each reason why an energy has wide bounds."""
    for reading in measured.readings:
        for reason in (*reading.reasons, *_stuck_reasons(reading)) if reading.energy else ():
            yield f"{reading.channel.path}: {reason}"


def missing_total_reason(measured: Measurement) -> str:
    """Return the reason why a measurement has no total."""
    counted = {channel.key for channel in measured.coverage.includes}
    missing = [
        (reading.channel.path, (*reading.reasons, *_stuck_reasons(reading)))
        for reading in measured.readings
        if reading.channel.key in counted and (reading.energy is None or _stuck_reasons(reading))
    ]
    if not missing:
        return "its own bounds are too wide"
    return ", ".join(f"{name}: {'; '.join(reasons)}" for name, reasons in missing)


def _stuck_reasons(reading: WindowEnergy) -> tuple[str, ...]:
    """Return a reason if the sensor did not change at all."""
    words = "it did not change in this time: a frozen sensor measures nothing"
    return (words,) if is_stuck(reading) else ()
