"""Derives the time and the energy of a model's start: its load, and the first run of the first point; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.profiling.analysis.intervals import quantity
from agent.profiling.records import PointModel, Startup
from agent.workloads.point import encode_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.profiling.analysis.metrics import Sensors
    from agent.profiling.records import Point, UncertainValue
    from agent.runtime.clock import Timebase
    from agent.workloads.model_record import LoadedModel
    from store.records import Window

LOAD, FIRST_RUN = "load", "first_run"
"""The phases of the windows in which a model is loaded, and in which the first point runs for the first time."""


def derive_startup(windows: Sequence[Window], sensors: Sensors) -> Startup | None:
    """Return the start of the first model, None if it was not observed: a server was running before."""
    loads = [window for window in windows if window.phase == LOAD]
    runs = [window for window in windows if window.phase == FIRST_RUN]
    if not loads or not runs:
        return None
    load, run = loads[0], runs[0]
    return Startup(load.seconds, _joules(load, sensors), run.seconds, _joules(run, sensors))


def with_models(
    points: Sequence[Point],
    models: Mapping[str, LoadedModel],
    windows: Sequence[Window],
    sensors: Sensors,
    timebase: Timebase,
) -> tuple[Point, ...]:
    """Return the points with the facts of their models, if they have different ones.

    `models` are by the encoded point; the window of a load begins with it, in Unix time by the `timebase`.
    """
    if len({model.load_start_ns for model in models.values()}) <= 1:
        return tuple(points)
    energies = {window.start_ns: _joules(window, sensors) for window in windows if window.phase == LOAD}
    return tuple(
        msgspec.structs.replace(point, model=_facts(model, energies.get(timebase.unix_ns(model.load_start_ns))))
        if (model := models.get(encode_point(point.parameters)))
        else point
        for point in points
    )


def _facts(model: LoadedModel, joules: UncertainValue | None) -> PointModel:
    return PointModel(
        model.precision,
        model.parameters,
        model.model_bytes,
        model.load_seconds,
        joules,
        model.agreement,
        model.computes_in,
    )


def _joules(window: Window, sensors: Sensors) -> UncertainValue | None:
    """Return the energy of the whole boundary in a window, None if a sensor of it is unknown or there is none."""
    found = [each.between(window.start_ns, window.end_ns).energy for each in sensors.included]
    known = [energy for energy in found if energy is not None]
    if not known or len(known) < len(found):
        return None
    total = known[0]
    for energy in known[1:]:
        total = total.plus(energy)
    return quantity([total], sensors.source)
