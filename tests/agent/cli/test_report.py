"""What a profile looks like where no run here shows it: mixed sources, open bounds, points without energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cli.report import show_profile

if TYPE_CHECKING:
    import pytest

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
    "missing": [{"name": "utilization", "without": "no allocation basis"}],
    "assumed": [{"name": "pue", "value": 1.54, "source": "a survey"}],
}
POINT = {
    "name": "batch=1",
    "valid": True,
    "latency_seconds": LATENCY,
    "inferences_per_second": {"mean": 4.0, "lower": 3.9, "upper": 4.1},
    "output_tokens_per_inference": None,
    "output_tokens_per_second": None,
    "time_to_first_token_seconds": None,
    "inter_token_latency_seconds": None,
    "energy": {
        "per_inference": {"total": FIGURE, "idle": None, "dynamic": None},
        "estimated_share": 0.823,
        "per_output_token": None,
    },
    "power": {"mean": FIGURE},
    "cost": COST,
    "findings": [],
}
REFUSED = {
    **POINT,
    "name": "batch=2",
    "valid": False,
    "energy": None,
    "power": None,
    "cost": None,
    "findings": [{"expectation": "repeats", "passed": False, "fatal": True, "message": "2 complete repeats"}],
}
DOCUMENT = {
    "id": "20250101-000000-abcd",
    "status": "complete",
    "effort": {"name": "quick", "repeats": 3, "window_seconds": 1.5},
    "host": {"name": "here", "cpu_model": "A processor", "cores": 8, "virtual": False},
    "engine": {"name": "engine", "version": "1", "provider": "cpu"},
    "workload": {"name": "onnx", "parameters": 1_500_000, "precision": None, "settings": {"model": "/models/m.onnx"}},
    "coverage": {
        "boundary": "components",
        "includes": [{"device": "package-0", "domain": "package"}],
        "not_covered": ["memory"],
        "source": "mixed",
        "uncertainty": 0.5,
    },
    "baselines": [{"state": "loaded", "power": [{"device": "total", "domain": "components", "watts": FIGURE}]}],
    "points": [POINT, REFUSED],
    "notes": ["look here first"],
}


def shown(document: dict[str, object], capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_profile(document)
    return capsys.readouterr().out.splitlines()


def test_a_mixed_total_shows_its_share_in_energy_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line for line in shown(DOCUMENT, capsys) if line.startswith("batch=1")]
    speed, energy, cost = rows
    assert speed.split() == ["batch=1", "250", "ms", "300", "ms", "4", "±2.5", "%"]
    assert energy.endswith("±25 %           -  mixed (82 % estimated)")
    assert cost.endswith("mixed (82 % estimated)")


def test_money_without_an_upper_bound_says_so_and_the_unit_is_the_user_s(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(DOCUMENT, capsys)
    [cost] = [line for line in lines if line.startswith("batch=1  usage")]
    assert cost.split()[2:8] == ["100", "%", "2", "500,000.00", "500,002.00", "250,001.00"]
    assert "250,001.00 or more" in cost
    assert "Cost per million inferences, in the unit of the prices given" in lines
    assert "Not given: utilization: no allocation basis" in lines
    assert "Assumed: pue = 1.54 (a survey)" in lines


def test_a_point_that_is_not_valid_has_a_row_without_numbers_and_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(DOCUMENT, capsys)
    assert any(line.split() == ["batch=2", "-", "-", "-", "-", "not", "valid"] for line in lines)
    assert "batch=2: not valid: repeats: 2 complete repeats" in lines
    assert lines[-1] == "Note: look here first"


def test_without_any_energy_there_is_no_table_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    without = {**DOCUMENT, "points": [REFUSED], "baselines": [], "coverage": {**DOCUMENT["coverage"], "includes": []}}
    lines = shown(without, capsys)
    assert "Energy   none: nothing here measures power" in lines
    assert "Energy: none; the reasons are below" in lines
    assert not any(line.startswith("Cost") for line in lines)


def test_the_head_names_host_model_and_what_is_covered(capsys: pytest.CaptureFixture[str]) -> None:
    head = shown(DOCUMENT, capsys)[:6]
    assert head == [
        "Profile  20250101-000000-abcd (complete, quick: 3 repeats of 1.5 s)",
        "Host     here: A processor, 8 cores",
        "Model    onnx: 1.5 M parameters, /models/m.onnx",
        "Engine   engine 1 on cpu",
        "Energy   mixed, its estimated part to ±50 %, boundary components: package-0/package; not covered: memory",
        "Idle     4 W ±25 % before the run, with the model loaded, mixed",
    ]


def test_what_a_profile_of_a_newer_schema_says_of_idle_others_and_heat_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    idle = [{"device": "total", "domain": "components", "watts": FIGURE}]
    later = {**FIGURE, "mean": 5.0, "lower": 4.0, "upper": 6.0}
    after = [{"device": "total", "domain": "components", "watts": later}]
    board = {"device": "GPU-a", "start_celsius": 40.0, "end_celsius": 61.0}
    warm, known = {**POINT, "name": "batch=2"}, {"most_other_processors": 0.25, "devices": [board]}
    document = {
        **DOCUMENT,
        "effort": {**DOCUMENT["effort"], "tolerance": 0.05},
        "baselines": [
            {"state": "unloaded", "when": "before", "power": idle},
            {"state": "loaded", "when": "before", "power": []},
            {"state": "unloaded", "when": "after", "power": after},
        ],
        "surroundings": {"start": {"processor_celsius": 50.0}, "end": None},
        "points": [
            {**POINT, "conditions": {"most_other_processors": None, "devices": []}},
            {**warm, "conditions": known},
        ],
    }
    lines = shown(document, capsys)
    assert lines[0].endswith("quick: 3 repeats of 1.5 s, more until ±5.0 %)")
    assert [line for line in lines if line.startswith(("Idle", "Others", "Heat"))] == [
        "Idle     4 W ±25 % before the run, 5 W ±20 % after the run, without the model, mixed",
        "Others   kept at most 0.25 of 8 processors busy during a window",
        "Heat     GPU-a 40 to 61 °C, processors 50 to 50 °C",
    ]


def test_others_on_a_gpu_are_shown_where_they_are_notable(capsys: pytest.CaptureFixture[str]) -> None:
    def point(processors: float | None, *gpus: tuple[str, float | None]) -> dict[str, object]:
        shared = [{"device": device, "most_other_share": share} for device, share in gpus]
        return {**POINT, "conditions": {"most_other_processors": processors, "devices": [], "gpus": shared}}

    def others(*points: dict[str, object]) -> list[str]:
        return [line for line in shown({**DOCUMENT, "points": points}, capsys) if line.startswith("Others")]

    quiet, busy = point(0.5, ("GPU-a", 0.01), ("GPU-b", None)), point(None, ("GPU-a", 0.4), ("GPU-c", 0.2))
    assert others(quiet) == ["Others   kept at most 0.50 of 8 processors busy during a window"]
    [line] = others(busy, quiet)
    assert "0.50 of 8 processors, GPU-a for 40 % of the time, GPU-c for 20 % of the time busy during" in line
    assert others(point(None, ("GPU-a", 0.0))) == []


def test_what_all_points_say_alike_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    same = {"expectation": "idle_drift", "passed": False, "fatal": False, "message": "it moved"}
    own = {"expectation": "steady", "passed": False, "fatal": False, "message": "throughput still moves"}
    points = [{**POINT, "findings": [same]}, {**POINT, "name": "batch=2", "findings": [same, own]}]
    lines = shown({**DOCUMENT, "points": points}, capsys)
    assert [line for line in lines if "look twice" in line] == [
        "every point: look twice: idle_drift: it moved",
        "batch=2: look twice: steady: throughput still moves",
    ]
    assert "batch=1: look twice: idle_drift: it moved" in shown({**DOCUMENT, "points": points[:1]}, capsys)
