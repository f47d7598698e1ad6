"""The ceiling of a host from stored profiles, the share that phases reach, and the roofline as text and as a chart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.cost.interval import Interval
from agent.profiling.ceiling import ceilings, device_of, share, with_ceilings
from agent.profiling.records import Document, PhaseWork
from agent.profiling.roofline import devices, roofline
from agent.profiling.run_facts import Ceiling
from agent.render.roofline_text import roofline_text
from profile_documents import example

HOST, RATE = "host-1", 5.0
"""RATE inferences per second."""


def counted(operations: float | None, moved: float | None, phase: str = "pass") -> PhaseWork:
    """Work at RATE inferences per second."""
    rates = [None if each is None else Interval(each * RATE, None, None) for each in (operations, moved)]
    return PhaseWork(phase, operations, moved, None, rates[0], rates[1], None, None)


def stored(workload: str, name: str, operations: float | None, moved: float | None, **facts: Any) -> dict[str, Any]:
    point = {
        "checks": [{"name": "window_matches_iterations", "status": facts.get("timed", "passed")}],
        "name": "point",
        "parameters": {"dtype": facts.get("dtype", "fp32")},
        "work": [msgspec.to_builtins(counted(operations, moved))],
    }
    engine = {"name": facts.get("engine", "numpy"), "provider": "cpu", "device": "cpu"} | facts.get("on", {})
    return {
        "id": name,
        "host": {"id": facts.get("host", HOST)},
        "workload": {"name": workload},
        "engine": engine,
        "points": [point],
    }


GEMM, STREAM = stored("gemm", "g", 20e9, None), stored("stream", "s", None, 2e9)


def test_the_ceiling_is_the_highest_rate_of_the_newest_profile_of_each_engine():
    found = ceilings(
        [
            stored("gemm", "g3", 10e9, None, engine="torch"),
            stored("gemm", "g2", 20e9, None),
            stored("gemm", "g1", 99e9, None),  # an older one of the same engine
            stored("gemm", "g4", 7e9, None, dtype="fp64"),
            STREAM,
        ],
        HOST,
        "cpu",
    )
    assert found == (
        Ceiling("fp32", "cpu", 100e9, 10e9, "g2", "s"),
        Ceiling("fp64", "cpu", 35e9, 10e9, "g4", "s"),
    )


@pytest.mark.parametrize(
    "other",
    [
        stored("gemm", "g", 20e9, None, host="host-2"),
        stored("gemm", "g", 20e9, None, on={"provider": "cuda", "device": "cuda:0"}),
        stored("gemm", "g", 20e9, None, timed="failed"),
        stored("gemm", "g", None, None),
        stored("transformer", "g", 20e9, None),
    ],
)
def test_other_hosts_other_devices_and_wrong_times_make_no_ceiling(other: dict[str, Any]):
    assert ceilings([other, STREAM], HOST, "cpu") == ()


def test_there_is_no_ceiling_without_memory():
    assert ceilings([GEMM, stored("stream", "s", None, None)], HOST, "cpu") == ()


def test_a_device_has_one_name_in_all_engines():
    assert device_of({"provider": "cpu", "device": "CPU"}) == "cpu"
    assert device_of({"provider": "gpu", "device": "GPU.0"}) == "gpu.0"
    assert device_of({"provider": "cuda", "device": None}) == "cuda"


def test_the_share_is_that_of_the_tighter_limit():
    ceiling = Ceiling("fp32", "cpu", 100e9, 10e9, "g", "s")
    assert share(counted(10e9, 0.2e9), ceiling) == approx(0.5)  # 50 of 100 GFLOP/s, 1 of 10 GB/s
    assert share(counted(1e9, 1.6e9), ceiling) == approx(0.8)
    assert share(counted(None, 1e9), ceiling) == approx(0.5)
    assert share(counted(None, None), ceiling) is None


def transformer(precision: str = "fp32") -> Document:
    document = msgspec.convert(example(), Document)
    points = tuple(
        msgspec.structs.replace(point, work=(counted(10e9, 0.2e9, "prefill"), counted(1e9, 1.6e9, "decode")))
        for point in document.points
    )
    return msgspec.structs.replace(
        document,
        host=msgspec.structs.replace(document.host, id=HOST),
        workload=msgspec.structs.replace(document.workload, precision=precision),
        points=points,
    )


def test_each_phase_of_a_profile_has_its_share_and_the_profile_its_ceiling():
    found = with_ceilings(transformer(), [GEMM, STREAM])
    shares = [tuple(each.share_of_ceiling for each in point.work) for point in found.points]
    assert shares == [(approx(0.5), approx(0.8))] * len(found.points)
    assert found.ceilings == (Ceiling("fp32", "cpu", 100e9, 10e9, "g", "s"),)


def test_a_profile_without_a_ceiling_for_its_type_has_no_share():
    own = transformer("int8")
    assert with_ceilings(own, [GEMM, STREAM]) == own
    gemm = msgspec.structs.replace(own, workload=msgspec.structs.replace(own.workload, name="gemm", precision="fp32"))
    assert with_ceilings(gemm, [GEMM, STREAM]) == gemm
    (plain,) = {with_ceilings(msgspec.convert(example(), Document), [GEMM, STREAM]).ceilings}
    assert plain == ()


def test_the_ceiling_is_that_of_the_type_in_which_the_engine_computes():
    own = transformer("fp16")
    own = msgspec.structs.replace(own, workload=msgspec.structs.replace(own.workload, computes_in="fp32"))
    assert [each.precision for each in with_ceilings(own, [GEMM, STREAM]).ceilings] == ["fp32"]


def test_a_roofline_places_phases_by_their_operations_for_each_byte():
    placed = msgspec.to_builtins(with_ceilings(transformer(), [GEMM, STREAM]))
    found = roofline([GEMM, STREAM], HOST, "cpu", [placed])
    prefill, decode = found.phases[:2]
    assert (prefill.phase, prefill.operations_per_byte, prefill.operations_per_second) == ("prefill", 50, 50e9)
    assert (decode.phase, decode.operations_per_byte, decode.share_of_ceiling) == ("decode", 0.625, approx(0.8))
    lines = roofline_text(found, 100).splitlines()
    assert lines[2].split() == ["fp32", "100", "10.0", "10.0", "g", "s"]
    assert lines[-1].split()[-3:] == ["5.00", "80", "%"]
    assert roofline([GEMM, STREAM], HOST, "cpu", [GEMM]).phases == ()
    assert len(roofline_text(roofline([GEMM, STREAM], HOST, "cpu"), 100).splitlines()) == 3
    assert devices([GEMM, STREAM, stored("gemm", "x", 1.0, None, host="other")], HOST) == ("cpu",)


def test_the_chart_has_a_roof_for_each_type_and_a_mark_for_each_phase():
    chart = pytest.importorskip("agent.report.roofline", reason="the report extra is not installed")
    placed = msgspec.to_builtins(with_ceilings(transformer(), [GEMM, STREAM]))
    found = roofline([GEMM, STREAM], HOST, "cpu", [placed])
    drawn = chart.roofline_chart(found)
    roof, *marks = drawn.lines
    assert roof.x == (0.625 / 8, 10, 400)
    assert roof.y == (approx(0.78125), 100, 100)
    assert len(marks) == len(found.phases)
    with pytest.raises(ValueError, match="needs a ceiling"):
        chart.roofline_chart(roofline([], HOST, "cpu"))
