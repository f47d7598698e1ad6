"""The shared options of a run give its plan, tolerance, budget and seed."""

from __future__ import annotations

import pytest

from agent.cli.run_options import RunOptions


def test_a_number_makes_a_mode_custom_and_a_tolerance_does_not() -> None:
    assert RunOptions().plan().name == "quick"
    assert RunOptions(standard=True, repeats=9).plan().name == "custom"
    plan = RunOptions(rigorous=True, tolerance="2%", budget="3h").plan()
    assert (plan.name, plan.tolerance, plan.budget_seconds) == ("rigorous", 0.02, 10800.0)
    assert RunOptions().plan().tolerance is None


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("2.5 %", 0.025), (".5", 0.5)])
def test_a_tolerance_is_a_percentage_or_a_share(text: str, share: float) -> None:
    assert RunOptions(tolerance=text).plan().tolerance == pytest.approx(share)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0)])
def test_a_budget_has_its_unit(text: str, seconds: float) -> None:
    assert RunOptions(tolerance="5%", budget=text).plan().budget_seconds == seconds


def test_a_missing_seed_is_drawn_at_random() -> None:
    assert RunOptions(order_seed=7).seed() == 7
    assert RunOptions().seed() != RunOptions().seed()
