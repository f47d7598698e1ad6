"""The origin of the numbers of a profile: measured, estimated, given, assumed, not covered, and the warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.crosscheck_text import layer_lines
from agent.render.profile_warnings import warning_lines
from agent.render.tables import number, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.profiling.records import Document
    from agent.report.view import View

_NOTHING = "nothing"


def origins(view: View) -> list[tuple[str, list[str]]]:
    """Return a heading with its lines for each origin; the absence of lines is a line as well."""
    document = view.document
    found = {
        "Measured": list(_sensors(document, "measured")),
        "Estimated": list(_sensors(document, "estimated")),
        "Given by the user": list(_given(document)),
        "Assumed": list(_assumed(document)),
        "Not covered": list(_not_covered(document)),
        "Cross-check": list(layer_lines(view.plain["cross_checks"])),
        "Warnings": list(warning_lines(view.plain)),
    }
    return [(heading, lines or [_NOTHING]) for heading, lines in found.items()]


def _sensors(document: Document, source: str) -> Iterator[str]:
    for device in document.devices:
        for sensor in device.sensors:
            if sensor.in_total and sensor.source == source:
                every = f", refreshed every {number(sensor.refresh_seconds, 's')}" if sensor.refresh_seconds else ""
                half = f", ±{percent(sensor.relative_uncertainty)}" if sensor.relative_uncertainty else ""
                name = f" ({device.name})" if device.name else ""
                yield f"energy of {device.id}/{sensor.domain}{name}: {sensor.method}{every}{half}"
    if source == "measured" and document.points:
        yield f"latencies and rates of {len(document.points)} points: {document.plan.repeats} repeats each"


def _given(document: Document) -> Iterator[str]:
    tariff = document.tariff
    if tariff is None:
        return
    for name in tariff.given:
        value = getattr(tariff, name, None)
        shown = f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else value
        if shown is not None and not isinstance(shown, tuple):
            yield f"{name} = {shown}{' (measured)' if name in tariff.measured else ''}"
    for each in tariff.ranges:
        yield f"{each.name} is expected from {each.low:g} to {each.high:g}"
    for offer in tariff.offers:
        yield f"the prices of the offer {offer.name}{f', from {offer.source}' if offer.source else ''}"


def _assumed(document: Document) -> Iterator[str]:
    tariff = document.tariff
    for default in tariff.assumed if tariff and any(point.cost for point in document.points) else ():
        yield default.text
    for offer in tariff.offers if tariff else ():
        yield from (f"offer {offer.name}: {text}" for text in offer.assumptions)


def _not_covered(document: Document) -> Iterator[str]:
    coverage = document.coverage
    yield from (f"{part}: without a sensor" for part in coverage.not_covered)
    if coverage.includes and coverage.boundary != "wall":
        yield f"everything outside the boundary {coverage.boundary}: power supply losses, fans, disks, network"
    priced = next((point.cost for point in document.points if point.cost), None)
    yield from (f"{each.name} is not given: {each.effect}" for each in (priced.missing if priced else ()))
    if document.tariff is None:
        yield "cost: no prices are given (--tariff)"
