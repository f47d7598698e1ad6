"""The machine, the tokens of a request and the usual demand come from the profile and the tariff."""

from __future__ import annotations

import json

import pytest
from msgspec import convert, structs

from agent.cost.interval import Interval
from agent.cost.lines import machine_lines
from agent.cost.tariff import Tariff
from agent.profiling.offer_inputs import machine_of, mix_of, usual_demand
from agent.profiling.pricing import NoCostError
from agent.profiling.records import Document
from command import ROOT

DOCUMENT = convert(json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8")), Document)
POINT = DOCUMENT.points[-1]
TARIFF = Tariff(
    price_per_kwh=0.3,
    capital=9000,
    life_years=3,
    residual_share=0.1,
    discount_rate=0.05,
    maintenance_share=0.05,
    utilization=0.3,
    headroom=0.2,
    spares=2,
    peak_factor=3,
)


def test_the_machine_has_the_prices_of_the_tariff_and_the_capacity_of_the_point() -> None:
    machine = machine_of(DOCUMENT, POINT, TARIFF, sized_for_peaks=True)
    assert machine.model.capacity == POINT.inferences_per_second.mean
    assert machine.capital == 9000
    recovered = [line.amount for line in machine_lines(TARIFF) if line.name in {"acquisition", "interest_on_residual"}]
    assert machine.recovery_per_year == pytest.approx(8760 * sum(recovered))
    assert (machine.life_years, machine.headroom, machine.spares, machine.peak_factor) == (3, 0.2, 2, 3)
    assert machine.usable == pytest.approx(POINT.inferences_per_second.mean * 0.8 / 3)


def test_a_demand_with_its_own_peaks_has_no_peak_factor() -> None:
    assert machine_of(DOCUMENT, POINT, TARIFF, sized_for_peaks=False).peak_factor == 1


def test_a_tariff_without_sizes_leaves_no_headroom() -> None:
    machine = machine_of(DOCUMENT, POINT, Tariff(price_per_hour=2.0), sized_for_peaks=True)
    assert (machine.capital, machine.recovery_per_year) == (0, 0)
    assert (machine.headroom, machine.spares, machine.peak_factor) == (0, 0, 1)


def test_a_tariff_without_a_machine_has_no_options() -> None:
    with pytest.raises(NoCostError, match="capital"):
        machine_of(DOCUMENT, POINT, Tariff(price_per_kwh=0.3), sized_for_peaks=True)


def test_tokens_have_the_ratio_of_the_mean_lengths() -> None:
    mix = mix_of(POINT)
    assert POINT.output_tokens_per_second is not None
    assert POINT.input_tokens_per_second is not None
    assert POINT.input_tokens_per_inference is not None
    assert POINT.serving is not None
    assert mix.input_tokens is not None
    assert mix.output_tokens == pytest.approx(POINT.output_tokens_per_second.mean / POINT.inferences_per_second.mean)
    assert mix.input_tokens / mix.output_tokens == pytest.approx(POINT.input_tokens_per_inference / 32)
    cached = POINT.serving.cached_input_tokens_per_second
    assert cached is not None
    assert mix.cached_input_tokens / mix.input_tokens == pytest.approx(cached / POINT.input_tokens_per_second.mean)


def test_work_without_tokens_has_none() -> None:
    images = structs.replace(
        POINT,
        serving=None,
        input_tokens_per_second=None,
        output_tokens_per_second=None,
        input_tokens_per_inference=None,
        output_tokens_per_inference=None,
    )
    mix = mix_of(images)
    assert (mix.input_tokens, mix.cached_input_tokens, mix.output_tokens) == (None, 0, None)


def test_embeddings_have_input_tokens_alone() -> None:
    embeddings = structs.replace(
        POINT,
        input_tokens_per_second=Interval.exact(100 * POINT.inferences_per_second.mean),
        output_tokens_per_second=None,
        output_tokens_per_inference=None,
    )
    assert mix_of(embeddings).input_tokens == pytest.approx(100)


def test_the_usual_demand_is_one_machine_at_the_utilization_of_the_tariff() -> None:
    machine = machine_of(DOCUMENT, POINT, TARIFF, sized_for_peaks=True)
    demand = usual_demand(machine, TARIFF)
    assert demand is not None
    assert demand.mean == demand.peak == pytest.approx(0.3 * machine.model.capacity)
    assert demand.origin == "assumed"
    assert "utilization of the tariff, 30 %" in demand.notes[0]
    assert usual_demand(machine, Tariff()) is None
