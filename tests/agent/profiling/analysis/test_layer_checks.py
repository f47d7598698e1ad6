"""The cross-checks of a profile: its idle baselines and its points are the levels of load."""

from __future__ import annotations

from dataclasses import replace

from agent.energy.crosscheck import Verdict
from agent.profiling.analysis.idle import IDLE_UNLOADED
from agent.profiling.analysis.layer_checks import check_layers
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.device_facts import IncludedSensor
from meter_rig import dram, gpu, package, plug, psys, windows_of
from store.records import Window

SPANS = windows_of()
RUN = [
    Window("run", "", IDLE_UNLOADED, 0, *SPANS[0]),
    Window("run", "", "load", 0, *SPANS[1]),
    *(Window("run", '{"batch":1}', "inference", number, *span) for number, span in enumerate(SPANS[2:], 1)),
]


def test_a_profile_compares_its_layers_over_baselines_and_points() -> None:
    (found,) = check_layers(RUN, Sensors.of([psys(efficiency=0.95), package(), dram()], 0.05))
    assert found.verdict is Verdict.PLAUSIBLE
    assert found.meters == (IncludedSensor("psys", "psys"),)
    assert found.below == (IncludedSensor("package-0", "package"), IncludedSensor("package-0", "dram"))
    assert found.windows == len(RUN) - 1  # not the load of the model
    assert found.slope is not None
    assert found.slope.lower < 1 / 0.95 < found.slope.upper


def test_a_missing_part_is_found_in_a_profile() -> None:
    series = [plug(), package(), dram()]
    (found,) = check_layers(RUN, Sensors.of(series, 0.05))
    assert found.verdict is Verdict.DYNAMIC_PART_MISSING
    (found,) = check_layers(RUN, Sensors.of([*series, gpu()], 0.05))
    assert found.verdict is Verdict.CONSTANT_PART_MISSING


def test_a_host_of_one_layer_and_a_sensor_without_samples_have_no_comparison() -> None:
    assert check_layers(RUN, Sensors.of([package(), dram()], 0.05)) == ()
    empty = replace(psys(), times_ns=(), values=())
    assert check_layers(RUN, Sensors.of([empty, package(), dram()], 0.05)) == ()
