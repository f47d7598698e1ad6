from __future__ import annotations

import json

import pytest

from agent.cost.tariff import Tariff
from agent.exports.records import ExportError, ExportRequest
from agent.exports.wva import EXPORTER
from planner_documents import PRICES, load, profile, with_watts

ALPHA, BETA, GAMMA = 4.0, 0.05, 0.0002
"""Milliseconds of the model of the newer generation."""


def times(n, prompt, output):
    """Return the times to the first token and between tokens in seconds, by the formulas of the autoscaler."""
    iteration = ALPHA + n * (BETA * (prompt + output) / (output + 1) + GAMMA * (prompt + output / 2))
    prefill = iteration + (BETA + GAMMA) * prompt
    decode = iteration + BETA + GAMMA * (prompt + output / 2)
    return (prefill + decode) / 1000, decode / 1000


def point(clients, prompt, watts=100.0):
    first, step = times(clients, prompt, 128)
    return with_watts(load((prompt, 128), first, step, clients / (first + 127 * step), 30, concurrency=clients), watts)


POINTS = [point(n, prompt, 100.0 + 10 * n) for prompt in (128, 512) for n in (1, 2, 4, 8, 16)]


def exported(*points, tariff=PRICES, **facts):
    found = EXPORTER.files(ExportRequest((profile(*points, tariff=tariff),), facts))
    files = {name: json.loads(content) for name, content in found.files.items()}
    (accelerator,), (model,) = files["accelerators.json"]["accelerators"], files["models.json"]["models"]
    return accelerator, model, found.notes


def test_accelerator_has_the_types_of_the_autoscaler():
    accelerator, _, _ = exported(*POINTS, acc="A100", mem_gb="80", mem_bw_gb_s="2039")
    assert {name: type(value) for name, value in accelerator.items()} == {
        "name": str, "type": str, "multiplicity": int, "memSize": int, "memBW": int, "power": dict, "cost": float,
        "source": str,
    }  # fmt: skip
    assert [type(accelerator["power"][name]) for name in ("idle", "full", "midPower", "midUtil")] == [
        int, int, int, float,
    ]  # fmt: skip


def test_power_is_idle_full_and_the_load_nearest_to_half_of_the_rate():
    power = exported(*POINTS)[0]["power"]
    assert (power["idle"], power["full"]) == (40, 260)
    assert (power["midPower"], power["midUtil"]) == (180, pytest.approx(0.605, abs=0.001))


def test_power_and_cost_are_those_of_one_of_the_devices():
    one, four = exported(*POINTS)[0], exported(*POINTS, acc_count="4")[0]
    assert (four["power"]["full"], four["cost"]) == (65, pytest.approx(one["cost"] / 4))
    assert one["cost"] == pytest.approx(100 * (1 + 0.3 * 0.260))


def test_parameters_of_the_newer_generation_are_recovered():
    model = exported(*POINTS)[1]
    assert model["serviceParms"] == pytest.approx({"alpha": ALPHA, "beta": BETA, "gamma": GAMMA}, rel=1e-6)
    assert model["fit"]["r2"]["serviceParms_itl"] == pytest.approx(1)
    assert model["fit"]["r2"]["serviceParms_ttft"] == pytest.approx(1)


def test_parameters_of_the_older_generation_are_recovered():
    points = [
        load((prompt, 128), (3 + 0.01 * prompt * n) / 1000, (7 + 0.3 * n) / 1000, 1.0 + n, 30, concurrency=n)
        for prompt in (128, 512)
        for n in (1, 2, 4, 8)
    ]
    model = exported(*points)[1]
    assert model["decodeParms"] == pytest.approx({"alpha": 7, "beta": 0.3}, rel=1e-6)
    assert model["prefillParms"] == pytest.approx({"gamma": 3, "delta": 0.01}, rel=1e-6)
    assert model["fit"]["r2"]["decodeParms"] == pytest.approx(1)
    assert model["fit"]["r2"]["prefillParms"] == pytest.approx(1)


def test_model_has_the_range_of_its_fit():
    model = exported(*POINTS, max_batch_size="64")[1]
    assert (model["maxBatchSize"], model["atTokens"], model["accCount"]) == (64, 128, 1)
    assert model["fit"] | {"r2": {}} == {
        "r2": {}, "points": 10, "batch_size": [1, 16], "input_tokens": [128, 512], "output_tokens": [128, 128],
    }  # fmt: skip


def test_currency_and_source_of_the_power_are_in_the_file():
    euros = Tariff(price_per_kwh=0.3, currency="EUR", capital=35040)
    accelerator, _, notes = exported(*POINTS, tariff=euros)
    assert accelerator["source"].endswith("the power is measured, in whole watts; cost is in cents of EUR an hour")
    assert "maxBatchSize is the largest measured number of clients, 16: --set max_batch_size=N" in notes


def test_what_the_fits_lack_is_listed_with_the_command():
    with pytest.raises(ExportError) as refused:
        EXPORTER.files(ExportRequest((profile(POINTS[0]),), {}))
    assert refused.value.missing == (
        "uncached loads of 3 numbers of clients: there are 1",
        "prompts of two lengths, which separate gamma from delta",
        "two loads of the same lengths, for the power at half of the rate",
    )
    assert refused.value.command == "inferometer profile endpoint --url URL --for wva"
