"""Operations and bytes per second, and the joules of each, from windows and samples of known power."""

from __future__ import annotations

import msgspec
import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.profiling.analysis.idle import IDLE_UNLOADED
from agent.profiling.points import analyze
from agent.profiling.work import with_work
from agent.render.work_table import work_table
from agent.workloads.work import Work
from synthetic_run import PACKAGE, idle, power_steps, read, repeats, sensors

KEY = '{"batch":1}'
POWER = power_steps((40, 3), (100, 60))
"""W and s: idle, then work."""
WINDOWS = [idle(IDLE_UNLOADED, 0.5, 2.5), *repeats((4, 6, 8, 10), point=KEY)]
"""Ten inferences in windows of 2 s."""
SENSORS = sensors(read(PACKAGE, POWER, 20))


def worked(work, measuring=SENSORS):
    points = analyze(WINDOWS, measuring, None)
    return with_work(points, {KEY: work}, WINDOWS)


def shown(point, width=100):
    return work_table([msgspec.to_builtins(point)], width)


@pytest.fixture(name="phase")
def _phase():
    ((phase,),) = (point.work for point in worked({"inference": Work(2e9, 4e9, 6e9)}))
    return phase


def test_rates_are_the_work_of_an_inference_times_the_rate(phase):
    assert (phase.operations_per_second.mean, phase.bytes_per_second.mean) == (approx(10e9), approx(20e9))
    assert (phase.operations_per_inference, phase.moved_bytes_per_inference) == (2e9, 4e9)
    assert phase.allocated_bytes_per_inference == 6e9


def test_the_energy_of_an_operation_and_of_a_byte_is_that_of_the_phase_over_the_count(phase):
    assert phase.joules_per_operation.mean == approx(20 / 2e9, rel=0.02)
    assert phase.joules_per_byte.mean == approx(20 / 4e9, rel=0.02)
    assert phase.joules_per_byte.lower < phase.joules_per_byte.mean < phase.joules_per_byte.upper


def test_without_a_sensor_there_are_rates_and_no_joules():
    ((phase,),) = (point.work for point in worked({"inference": Work(operations=2e9)}, sensors()))
    assert phase.operations_per_second.mean == approx(10e9)
    assert (phase.joules_per_operation, phase.bytes_per_second, phase.joules_per_byte) == (None, None, None)


def test_phases_that_are_not_counted_are_left_out():
    (point,) = worked({"other": Work(operations=2e9)})
    assert point.work == ()
    assert with_work([point], {}, WINDOWS) == (point,)
    assert shown(point) == ""


def test_the_table_has_the_columns_of_known_figures():
    (point,) = worked({"inference": Work(None, 4e9, 6e9)})
    title, heading, row = shown(point, 200).splitlines()
    assert title.startswith("Work, counted from the shapes. WITH ALLOCATE: GB/s")
    assert heading.split() == ["POINT", "GB/S", "WITH", "ALLOCATE", "PJ/B"]
    assert row.split()[:2] == ["batch=1", "20.0"]
    assert "30.0" in row.split()


def test_the_table_names_the_phases_if_there_are_several():
    (point,) = worked({"inference": Work(operations=2e9)})
    (own,) = point.work
    both = (own, msgspec.structs.replace(own, phase="decode", share_of_ceiling=0.5))
    lines = shown(msgspec.structs.replace(point, work=both)).splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["batch=1", "inference"], ["batch=1", "decode"]]
    assert (lines[-2].split()[-1], lines[-1].split()[-2:]) == ("-", ["50", "%"])
