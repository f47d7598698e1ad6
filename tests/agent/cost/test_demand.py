"""A demand is a number, a day from CSV, or measured hours; an invalid one is refused with its line and the remedy."""

from __future__ import annotations

import pytest

from agent.cost.demand import Demand, DemandError, Step, constant, measured, parse_day, parse_rate, with_prices


@pytest.mark.parametrize(("text", "rate"), [("40/s", 40), ("2400/min", 40), ("9e4 / h", 25), ("43200./day", 0.5)])
def test_a_number_has_a_unit_of_time(text: str, rate: float) -> None:
    demand = parse_rate(text)
    assert demand.peak == demand.mean == rate
    assert demand.origin == "given"
    assert demand.levels == ((rate, 1),)


@pytest.mark.parametrize("text", ["40", "-4/s", "40/week", "curve", "4,5/s", "measured:", ""])
def test_another_text_is_refused_with_the_ways_to_write_it(text: str) -> None:
    with pytest.raises(DemandError, match="is not a demand: give requests such as 40/s"):
        parse_rate(text)


@pytest.mark.parametrize("steps", [(), (Step(1, 0),), (Step(0, 1),), (Step(1, -1),), (Step(1, float("inf")),)])
def test_a_demand_has_a_length_and_a_rate(steps: tuple[Step, ...]) -> None:
    with pytest.raises(DemandError, match=r"is 0 at all times|has no length"):
        Demand(steps, "given")


def test_a_demand_of_zero_is_refused() -> None:
    with pytest.raises(DemandError, match="the demand is 0 at all times"):
        parse_rate("0/s")


@pytest.mark.parametrize("rate", [1e-320, 9e-10, 2e15])
def test_a_demand_too_small_or_too_large_for_sums_is_refused(rate: float) -> None:
    with pytest.raises(DemandError, match=r"its highest rate is .* it must be from 1e-9 to 1e15"):
        constant(rate)


def test_a_day_holds_each_rate_until_the_next_row() -> None:
    demand = parse_day("\ufefftime,requests_per_minute\n06:00, 60\n\n18:00:30,600\n".removeprefix("\ufeff"))
    assert demand.steps == (Step(12 * 3600 + 30, 1), Step(12 * 3600 - 30, 10))
    assert demand.seconds == 86_400
    assert demand.peak == 10
    assert demand.mean == pytest.approx((43_230 + 10 * 43_170) / 86_400)
    assert demand.notes == ("a step of the demand lasts 720 minutes: shorter peaks do not show in it",)


def test_a_day_of_five_minute_steps_hides_no_peak() -> None:
    rows = "\n".join(f"{minute // 60:02}:{minute % 60:02},{minute % 7}" for minute in range(0, 1440, 5))
    demand = parse_day(f"Time,Requests_Per_Second\n{rows}")
    assert len(demand.steps) == 288
    assert demand.notes == ()
    assert [rate for rate, _ in demand.levels] == [0, 1, 2, 3, 4, 5, 6]
    assert sum(share for _, share in demand.levels) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no rows: give a heading such as time,requests_per_second"),
        ("time,requests_per_second\n", "it has no rows"),
        ("08:30,5\n09:30,6", "line 1: '08:30,5' is not time and one of requests_per_second, "),
        ("time,rate\n09:30,6", "line 1: 'time,rate' is not time and one of"),
        ("time,requests_per_second\n8,6", "line 2: '8,6' is not a time and a rate"),
        ("time,requests_per_second\n08:30,6,7", "line 2: '08:30,6,7' is not a time and a rate"),
        ("time,requests_per_second\n24:00,6", "line 2: 24:00 is not a time of the day"),
        ("time,requests_per_second\n08:30,x", "line 2: 'x' is not a number"),
        ("time,requests_per_second\n08:30,-1", "line 2: the rate -1 is negative"),
        ("time,requests_per_second\n08:30,nan", "line 2: the rate nan is negative or not finite"),
        ("time,requests_per_second\n08:30,1\n\n08:30,2", "line 4: its time is not after that of the row before"),
        ("time,requests_per_second\n08:30,0", "the demand is 0 at all times"),
    ],
)
def test_an_invalid_day_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DemandError, match=message):
        parse_day(text)


def test_measured_hours_are_steps_in_the_order_of_time() -> None:
    demand = measured([{4.0: 2, 0.0: 300, 8.0: 0}, {8.0: 360}], 10, per_request=4)
    assert demand.steps == (Step(3000, 0), Step(20, 1), Step(3600, 2))
    assert demand.origin == "measured"
    assert any("order" in note for note in demand.notes)


def test_measured_hours_without_a_request_are_refused() -> None:
    with pytest.raises(DemandError, match="0 at all times"):
        measured([{0.0: 360}], 10)


def test_a_demand_grows_by_a_factor() -> None:
    assert constant(3).times(2) == constant(6)


DAY_PRICES = ((0, 6, 0.4), (6, 22, 1.2), (22, 24, 1.2))


def test_a_day_is_split_where_the_price_of_energy_changes() -> None:
    day = parse_day("time,requests_per_second\n04:00,2\n12:00,8")
    priced = with_prices(day, DAY_PRICES)
    assert [(step.seconds, step.rate) for step in priced.steps] == [
        (2 * 3600, 2), (6 * 3600, 2), (10 * 3600, 8), (2 * 3600, 8), (4 * 3600, 8)
    ]  # fmt: skip
    assert priced.price_factors == (0.4, 1.2, 1.2, 1.2, 0.4)
    assert priced.levels == day.levels
    assert dict(priced.paid_levels) == pytest.approx({2: (2 * 0.4 + 6 * 1.2) / 24, 8: (12 * 1.2 + 4 * 0.4) / 24})
    assert sum(share for _, share in priced.paid_levels) == pytest.approx(1)
    assert priced.times(2).paid_levels[0][1] == priced.paid_levels[0][1]


def test_a_demand_that_is_no_curve_of_a_day_has_the_mean_price() -> None:
    for demand in (constant(3), parse_day("time,requests_per_second\n04:00,2"), measured([{4.0: 2, 1.0: 3}], 10)):
        assert with_prices(demand, DAY_PRICES) is demand
        assert demand.paid_levels == demand.levels
