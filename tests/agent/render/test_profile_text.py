"""What a profile looks like where no run here shows it: mixed sources, open bounds, points without energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.profile_text import show_profile

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


def shown(document: dict[str, object], capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_profile(document)
    return capsys.readouterr().out.splitlines()


def test_a_mixed_total_shows_its_share_in_energy_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line for line in shown(DOCUMENT, capsys) if line.startswith("batch=1")]
    speed, energy, cost = rows
    assert speed.split() == ["batch=1", "4", "±2.5", "%", "260", "ms", "250", "ms", "300", "ms"]
    assert energy.endswith("±25 %        -  mixed (82 % estimated)")
    assert cost.endswith("mixed (82 % estimated)")


def test_money_without_an_upper_bound_says_so_and_the_unit_is_the_user_s(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(DOCUMENT, capsys)
    [cost] = [line for line in lines if line.startswith("batch=1  usage")]
    assert cost.split()[2:8] == ["100", "%", "2", "500,000.00", "500,002.00", "250,001.00"]
    assert "250,001.00 or more" in cost
    assert "Cost per million inferences, in the unit of the prices given" in lines
    assert "Not given: utilization: no allocation basis" in lines
    assert "Assumed: pue = 1.54 (a survey)" in lines


def test_an_invalid_point_has_a_row_without_numbers_and_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(DOCUMENT, capsys)
    assert any(line.split() == ["batch=2", "-", "-", "-", "-", "invalid"] for line in lines)
    assert "batch=2: invalid: repeats: 2 complete repeats" in lines
    assert lines[-1] == "Note: look here first"


def test_without_any_energy_there_is_no_table_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    without = {**DOCUMENT, "points": [REFUSED], "baselines": [], "coverage": {**DOCUMENT["coverage"], "includes": []}}
    lines = shown(without, capsys)
    assert "Energy       not available: nothing on this host measures power" in lines
    assert "Energy: not available; the reasons are below" in lines
    assert not any(line.startswith("Cost") for line in lines)


def test_the_head_names_host_model_and_what_is_covered(capsys: pytest.CaptureFixture[str]) -> None:
    head = shown(DOCUMENT, capsys)[:6]
    assert head == [
        "Profile      20250101-000000-abcd (complete, quick: 3 repeats of 1.5 s)",
        "Host         here: A processor, 8 logical CPUs",
        "Model        onnx: 1.5 M parameters, /models/m.onnx",
        "Engine       engine 1 on cpu",
        "Energy       mixed, its estimated part ±50 %, boundary components: package-0/package; not covered: memory",
        "Idle         4 W ±25 % before the run, with the model loaded, mixed",
    ]


def test_idle_power_other_load_and_temperature_are_shown_where_they_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    lines = shown(document, capsys)
    assert lines[0].endswith("quick: 3 repeats of 1.5 s, more until ±5.0 %)")
    assert [line for line in lines if line.startswith(("Idle", "Other load", "Temperature"))] == [
        "Idle         4 W ±25 % before the run, 5 W ±20 % after the run, without the model, mixed",
        "Other load   0.25 of 8 CPUs (worst window)",
        "Temperature  GPU-a 40 to 61 °C, CPU 50 to 50 °C",
    ]


def test_other_load_on_a_gpu_is_shown_above_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    def point(cpus: float | None, *gpus: tuple[str, float | None]) -> dict[str, object]:
        shared = [{"device": device, "max_other_share": share} for device, share in gpus]
        return {**POINT, "conditions": {"max_other_cpus": cpus, "devices": [], "gpus": shared}}

    def others(*points: dict[str, object]) -> list[str]:
        return [line for line in shown({**DOCUMENT, "points": points}, capsys) if line.startswith("Other load")]

    quiet, busy = point(0.5, ("GPU-a", 0.01), ("GPU-b", None)), point(None, ("GPU-a", 0.4), ("GPU-c", 0.2))
    assert others(quiet) == ["Other load   0.50 of 8 CPUs (worst window)"]
    assert others(busy, quiet) == ["Other load   0.50 of 8 CPUs, GPU-a 40 % busy, GPU-c 20 % busy (worst window)"]
    assert others(point(None, ("GPU-a", 0.0))) == []


def test_a_host_that_names_no_cpu_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    host = {"name": "here", "cpu_model": None, "logical_cpus": None, "virtual": True}
    assert "Host         here: unknown CPU, virtual machine" in shown({**DOCUMENT, "host": host}, capsys)


def failed(name: str, message: str, severity: str = "warning") -> dict[str, str]:
    return {"name": name, "status": "failed", "severity": severity, "message": message}


def test_a_failed_check_is_shown_once_with_its_points_and_those_that_withhold_figures_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fine = {"name": "repeats", "status": "passed", "severity": "invalid", "message": "3 complete repeats"}
    unknown = {"name": "steal_time", "status": "unknown", "severity": "warning", "message": "unknown"}
    drift, reset = failed("idle_drift", "it moved"), failed("counters_uninterrupted", "a reset", "invalid")
    checks = {
        "batch=1": [drift, failed("energy_spread", "varies by 5%"), fine],
        "batch=2": [drift, failed("energy_spread", "varies by 9%"), failed("steady", "it changes"), unknown],
        "batch=4": [drift, failed("steady", "it changes"), reset],
    }
    points = [{**POINT, "name": name, "checks": own} for name, own in checks.items()]
    lines = shown({**DOCUMENT, "points": points}, capsys)
    assert [line for line in lines if "warning" in line or "invalid" in line] == [
        "batch=4: invalid: counters_uninterrupted: a reset",
        "every point: warning: idle_drift: it moved",
        "batch=1, batch=2: warning: energy_spread: varies by 5% [batch=1]",
        "batch=2, batch=4: warning: steady: it changes",
    ]
    assert "batch=1: warning: idle_drift: it moved" in shown({**DOCUMENT, "points": points[:1]}, capsys)
