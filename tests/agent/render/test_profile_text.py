"""The printed profile in cases that no run here shows: mixed sources, open bounds, points without energy."""

from __future__ import annotations

from typing import Any

import pytest

from agent.render.profile_warnings import ADVICE
from profile_documents import COST, DOCUMENT, FIGURE, POINT, REFUSED, example, shown


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


def test_the_startup_is_a_line_of_its_own() -> None:
    startup = {"load_seconds": 1.5, "load_joules": FIGURE, "first_run_seconds": 0.02, "first_run_joules": None}
    lines = shown({**DOCUMENT, "startup": startup})
    assert "Startup      load 1.5 s and 4.00 J ±25 %, first run 20 ms" in lines
    assert not any(line.startswith("Startup") for line in shown({**DOCUMENT, "startup": None}))


def test_the_shape_of_a_generated_model_names_its_preset_and_its_experts() -> None:
    settings = {"preset": "Mixtral-8x7B", "layers": 32, "width": 4096, "experts": 8, "active_experts": 2}
    workload = {"name": "transformer", "parameter_count": None, "precision": "int4"}
    lines = shown({**DOCUMENT, "workload": {**workload, "settings": {**settings, "prompt_tokens": 64}}})
    assert "Model        transformer: Mixtral-8x7B, 32 layers 4096 wide, 2 of 8 experts, int4, 64 tokens in" in lines
