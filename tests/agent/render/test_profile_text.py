"""The printed profile in cases that no run here shows: mixed sources, open bounds, points without energy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.profiling.validation.evidence import Evidence
from agent.profiling.validation.measurement import validate
from agent.render.profile_text import profile_text
from agent.render.profile_warnings import ADVICE
from command import ROOT
from store.records import Window

FIGURE = {"mean": 4.0, "lower": 3.0, "upper": 5.0, "source": "mixed"}
LATENCY = {"p50": 0.25, "p99": 0.3}
COST = {
    "currency": None,
    "usage": {
        "utilization": 1.0,
        "per_inference": {
            "energy": {"mean": 2e-6, "lower": 1e-6, "upper": 3e-6},
            "capital": {"mean": 0.5, "lower": 0.25, "upper": None},
        },
        "per_million_output_tokens": None,
    },
    "allocation": None,
    "missing": [{"name": "utilization", "effect": "no allocation basis"}],
    "assumed": [{"name": "pue", "value": 1.54, "source": "a survey"}],
}
POINT = {
    "name": "batch=1",
    "valid": True,
    "mean_latency_seconds": {"mean": 0.26, "lower": None, "upper": None},
    "latency_seconds": LATENCY,
    "inferences_per_second": {"mean": 4.0, "lower": 3.9, "upper": 4.1},
    "output_tokens_per_inference": None,
    "output_tokens_per_second": None,
    "time_to_first_token_seconds": None,
    "inter_token_latency_seconds": None,
    "energy": {
        "joules_per_inference": {"total": FIGURE, "idle": None, "dynamic": None},
        "estimated_share": 0.823,
        "joules_per_output_token": None,
    },
    "power": {"mean_watts": FIGURE},
    "cost": COST,
    "conditions": {"max_other_cpus": None, "devices": [], "gpus": []},
    "checks": [],
}
REFUSED = {
    **POINT,
    "name": "batch=2",
    "valid": False,
    "energy": None,
    "power": None,
    "cost": None,
    "checks": [{"name": "repeats", "status": "failed", "severity": "invalid", "message": "2 complete repeats"}],
}
DOCUMENT = {
    "id": "20250101-000000-abcd",
    "status": "complete",
    "plan": {"mode": "quick", "repeats": 3, "window_seconds": 1.5, "tolerance": None},
    "host": {"name": "here", "cpu_model": "A processor", "logical_cpus": 8, "virtual": False},
    "engine": {"name": "engine", "version": "1", "provider": "cpu"},
    "workload": {
        "name": "onnx",
        "parameter_count": 1_500_000,
        "precision": None,
        "settings": {"model": "/models/m.onnx"},
    },
    "coverage": {
        "boundary": "components",
        "includes": [{"device": "package-0", "domain": "package"}],
        "not_covered": ["memory"],
        "source": "mixed",
        "relative_uncertainty": 0.5,
    },
    "host_state": {"before": None, "after": None},
    "baselines": [{"state": "loaded", "when": "before", "watts": FIGURE}],
    "points": [POINT, REFUSED],
    "notes": ["look here first"],
}


def shown(document: dict[str, Any], width: int = 200) -> list[str]:
    return profile_text(document, width).splitlines()


def example() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
    return document


def headline(**changed: Any) -> list[str]:
    return shown({**DOCUMENT, **changed}, width=200)[:3]


def test_the_first_three_lines_are_the_best_point_its_energy_and_cost_and_the_main_caveat() -> None:
    assert shown(example(), 80)[:4] == [
        "Best point        batch=8: 65.8 inferences/s, 2,100 output tok/s, TTFT 33.9 ms",
        "1M output tokens  1,640 J ±73 % estimated, 0.0116 EUR ±14 % at 30 % utilization",
        "Caveat            the energy is estimated to ±51 %, not measured",
        "",
    ]


def test_without_tokens_the_headline_is_about_an_inference() -> None:
    cost = "500,000 price units (250,000 or more) per million at 100 % utilization"
    assert headline(points=[POINT]) == [
        "Best point        batch=1: 4.00 inferences/s",
        f"1 inference       4.00 J ±25 % (82 % estimated), {cost}",
        "Caveat            a part of the energy is estimated to ±50 %, not measured",
    ]


def test_the_headline_names_the_known_part_of_the_cost() -> None:
    usage = {**COST["usage"], "per_inference": {**COST["usage"]["per_inference"], "capital": None}}
    [_, cost, _] = headline(points=[{**POINT, "cost": {**COST, "currency": "EUR", "usage": usage}}])
    assert cost.endswith(", 2.00 EUR ±50 % per million (energy alone) at 100 % utilization")
    [_, cost, _] = headline(points=[{**POINT, "cost": None}])
    assert cost.endswith("(82 % estimated), no prices given")
    nothing = {**usage, "per_inference": {"energy": None, "capital": None}}
    [_, cost, _] = headline(points=[{**POINT, "cost": {**COST, "usage": nothing}}])
    assert cost.endswith("(82 % estimated)")


MEASURED = {**DOCUMENT["coverage"], "source": "measured", "relative_uncertainty": None}


@pytest.mark.parametrize(
    ("changed", "caveat"),
    [
        ({"status": "interrupted"}, "the run is interrupted: points and repeats after that are missing"),
        ({}, "no energy and cost for batch=2: a check failed, see below"),
        (
            {"points": [POINT], "coverage": {**MEASURED, "source": "estimated"}},
            "the energy is estimated, not measured",
        ),
        (
            {"points": [{**POINT, "energy": None}], "coverage": {**MEASURED, "source": None, "includes": []}},
            "nothing on this host measures power: speed only",
        ),
        ({"points": [POINT], "coverage": MEASURED}, "the energy does not cover memory"),
        ({"points": [POINT], "coverage": {**MEASURED, "not_covered": []}}, "none: every check passed"),
    ],
)
def test_the_caveat_is_the_first_reason_for_doubt(changed: dict[str, Any], caveat: str) -> None:
    assert headline(**changed)[2] == f"Caveat            {caveat}"


def test_the_caveat_counts_failed_checks() -> None:
    one, two = failed("steady", "it changes"), failed("idle_drift", "it moved")
    assert headline(points=[{**POINT, "checks": [one]}], coverage=MEASURED)[2].endswith(
        "1 check failed, see the warnings below"
    )
    assert headline(points=[{**POINT, "checks": [one, two]}], coverage=MEASURED)[2].endswith(
        "2 checks failed, see the warnings below"
    )


def test_a_profile_without_points_has_no_best_one() -> None:
    assert headline(points=[], coverage=MEASURED)[0] == "Best point        none: no point is complete"


def test_the_headline_has_the_reason_for_missing_energy() -> None:
    assert headline(points=[REFUSED])[1] == "1 inference       energy not available: 2 complete repeats"


def test_the_printed_example_fits_into_80_columns() -> None:
    assert [line for line in shown(example(), 80) if len(line) > 80] == []


def test_a_mixed_total_shows_its_share_in_energy_and_cost() -> None:
    lines = shown(DOCUMENT)
    speed, energy, _ = (line for line in lines if line.startswith("batch=1"))
    assert speed.split() == ["batch=1", "4.00", "±2.5", "%", "260", "250", "300"]
    assert energy.endswith("±25 %        -  82 % estimated")
    assert any(line.endswith("The energy part is 82 % estimated.") for line in lines)


def test_a_cost_without_an_upper_bound_is_open_and_has_the_unit_of_the_prices() -> None:
    lines = shown(DOCUMENT)
    [cost] = [line for line in lines if line.startswith("batch=1  usage")]
    assert cost.split() == ["batch=1", "usage", "2.00", "500,000", "500,000", "250,000", "or", "more"]
    [title] = [line for line in lines if line.startswith("Cost")]
    assert title.startswith("Cost in the unit of the prices given per million inferences: usage at 100 % utilization.")
    assert "Not given: utilization (no allocation basis)." in lines
    assert "Assumed: pue = 1.54 (a survey)." in lines


def test_a_cost_with_one_part_has_no_total() -> None:
    usage = {**COST["usage"], "per_inference": {**COST["usage"]["per_inference"], "energy": None}}
    lines = shown({**DOCUMENT, "points": [{**POINT, "cost": {**COST, "usage": usage}}]})
    assert [line.split() for line in lines if line.startswith("batch=1  usage")] == [
        ["batch=1", "usage", "-", "500,000", "-", "-"]
    ]


def test_times_are_in_seconds_if_the_longest_takes_ten() -> None:
    slow = {"p50": 9.0, "p99": 12.0}
    lines = shown({**DOCUMENT, "points": [{**POINT, "latency_seconds": slow}]})
    assert any(line.startswith("Speed. Latencies in s:") for line in lines)
    assert any(line.split() == ["batch=1", "4.00", "±2.5", "%", "0.260", "9.00", "12.0"] for line in lines)


def test_times_are_in_microseconds_if_all_are_below_a_millisecond() -> None:
    fast = {**POINT, "latency_seconds": {"p50": 0.0002, "p99": 0.0009}}
    lines = shown(
        {**DOCUMENT, "points": [{**fast, "mean_latency_seconds": {**POINT["mean_latency_seconds"], "mean": 0.0003}}]}
    )
    assert any(line.startswith("Speed. Latencies in µs:") for line in lines)
    assert any(line.split() == ["batch=1", "4.00", "±2.5", "%", "300", "200", "900"] for line in lines)


def test_an_invalid_point_has_a_row_without_numbers_and_its_reason() -> None:
    lines = shown(DOCUMENT)
    assert any(line.split() == ["batch=2", "-", "-", "-", "-", "invalid"] for line in lines)
    cause, action = ADVICE["repeats"]
    assert f"Invalid (batch=2): 2 complete repeats. {cause} {action} [repeats]" in lines
    assert "Note: look here first" in lines


def test_without_any_energy_there_is_no_table_of_it() -> None:
    without = {**DOCUMENT, "points": [REFUSED], "baselines": [], "coverage": {**DOCUMENT["coverage"], "includes": []}}
    lines = shown(without)
    assert "Energy       not available: nothing on this host measures power" in lines
    assert "Energy: not available; the reasons are above." in lines
    assert not any(line.startswith("Cost") for line in lines)


def test_the_last_lines_describe_the_run() -> None:
    assert shown(DOCUMENT)[-6:] == [
        "Profile      20250101-000000-abcd (complete, quick: 3 repeats of 1.5 s)",
        "Host         here: A processor, 8 logical CPUs",
        "Model        onnx: 1.5 M parameters, /models/m.onnx",
        "Engine       engine 1 on cpu",
        "Energy       mixed, its estimated part ±50 %, boundary components: package-0/package; not covered: memory",
        "Idle         4.00 W ±25 % before the run, with the model loaded, mixed",
    ]


def test_idle_power_other_load_and_temperature_are_shown_if_they_are_known() -> None:
    later = {**FIGURE, "mean": 5.0, "lower": 4.0, "upper": 6.0}
    board = {"device": "GPU-a", "start_celsius": 40.0, "end_celsius": 61.0}
    known = {"max_other_cpus": 0.25, "devices": [board], "gpus": []}
    document = {
        **DOCUMENT,
        "plan": {**DOCUMENT["plan"], "tolerance": 0.05},
        "baselines": [
            {"state": "unloaded", "when": "before", "watts": FIGURE},
            {"state": "loaded", "when": "before", "watts": None},
            {"state": "unloaded", "when": "after", "watts": later},
        ],
        "host_state": {"before": {"cpu_celsius": 50.0}, "after": None},
        "points": [POINT, {**POINT, "name": "batch=2", "conditions": known}],
    }
    lines = shown(document)
    assert any(line.endswith("quick: 3 repeats of 1.5 s, more until ±5.0 %)") for line in lines)
    assert [line for line in lines if line.startswith(("Idle", "Other load", "Temperature"))] == [
        "Idle         4.00 W ±25 % before the run, 5.00 W ±20 % after the run, without the model, mixed",
        "Other load   0.25 of 8 CPUs (worst window)",
        "Temperature  GPU-a 40 to 61 °C, CPU 50 to 50 °C",
    ]


def test_other_load_on_a_gpu_is_shown_above_its_limit() -> None:
    def point(cpus: float | None, *gpus: tuple[str, float | None]) -> dict[str, object]:
        shared = [{"device": device, "max_other_share": share} for device, share in gpus]
        return {**POINT, "conditions": {"max_other_cpus": cpus, "devices": [], "gpus": shared}}

    def others(*points: dict[str, object]) -> list[str]:
        return [line for line in shown({**DOCUMENT, "points": points}) if line.startswith("Other load")]

    quiet, busy = point(0.5, ("GPU-a", 0.01), ("GPU-b", None)), point(None, ("GPU-a", 0.4), ("GPU-c", 0.2))
    assert others(quiet) == ["Other load   0.50 of 8 CPUs (worst window)"]
    assert others(busy, quiet) == ["Other load   0.50 of 8 CPUs, GPU-a 40 % busy, GPU-c 20 % busy (worst window)"]
    assert others(point(None, ("GPU-a", 0.0))) == []


def test_a_host_without_a_cpu_name_shows_an_unknown_cpu() -> None:
    host = {"name": "here", "cpu_model": None, "logical_cpus": None, "virtual": True}
    assert "Host         here: unknown CPU, virtual machine" in shown({**DOCUMENT, "host": host})


def failed(name: str, message: str, severity: str = "warning") -> dict[str, str]:
    return {"name": name, "status": "failed", "severity": severity, "message": message}


def test_a_failed_check_is_shown_once_with_its_points_and_an_invalid_one_comes_first() -> None:
    fine = {"name": "repeats", "status": "passed", "severity": "invalid", "message": "3 complete repeats"}
    unknown = {"name": "steal_time", "status": "unknown", "severity": "warning", "message": "unknown"}
    drift, reset = failed("idle_drift", "it moved"), failed("counters_uninterrupted", "a reset", "invalid")
    checks = {
        "batch=1": [drift, failed("energy_spread", "varies by 5%"), fine],
        "batch=2": [drift, failed("energy_spread", "varies by 9%"), failed("steady", "it changes"), unknown],
        "batch=4": [drift, failed("steady", "it changes"), reset],
    }
    points = [{**POINT, "name": name, "checks": own} for name, own in checks.items()]
    lines = shown({**DOCUMENT, "points": points}, width=500)
    assert [line for line in lines if line.startswith(("Warning", "Invalid"))] == [
        f"Invalid (batch=4): a reset. {' '.join(ADVICE['counters_uninterrupted'])} [counters_uninterrupted]",
        f"Warning (every point): it moved. {' '.join(ADVICE['idle_drift'])} [idle_drift]",
        f"Warning (batch=1, batch=2, here batch=1): varies by 5%. {' '.join(ADVICE['energy_spread'])} [energy_spread]",
        f"Warning (batch=2, batch=4): it changes. {' '.join(ADVICE['steady'])} [steady]",
    ]
    alone = shown({**DOCUMENT, "points": points[:1]}, width=500)
    assert any(line.startswith("Warning (batch=1): it moved.") for line in alone)


def test_every_check_has_a_likely_cause_and_an_action_unless_its_message_has_both() -> None:
    window = Window("run", "batch=1", "decode", 1, 0, 1_000_000_000)
    checks = {check.name for check in validate(Evidence(((window,),), (), 0, 0.1, (), ()))}
    assert checks - {"windows_long_enough", "tolerance_met"} == ADVICE.keys()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"layers": 2, "width": 8, "prompt_tokens": 4, "output_tokens": 3},
            "2 layers 8 wide, fp32, 4 tokens in, 3 out",
        ),
        ({"layers": 1, "width": 8, "output_tokens": 3}, "1 layer 8 wide, fp32, 3 out"),
        ({"millis": 5, "workload": "sleeper", "provider": "auto", "threads": 0}, "millis 5"),
    ],
)
def test_the_model_is_described_by_its_settings_without_swept_parameters(settings: dict[str, Any], words: str) -> None:
    workload = {**DOCUMENT["workload"], "precision": "fp32", "settings": settings}
    assert f"Model        onnx: 1.5 M parameters, {words}" in shown({**DOCUMENT, "workload": workload})


def test_a_model_without_settings_is_described_by_its_size_alone() -> None:
    workload = {**DOCUMENT["workload"], "settings": {"workload": "sleeper"}}
    assert "Model        onnx: 1.5 M parameters" in shown({**DOCUMENT, "workload": workload})
