"""The parts of the energy of a device are conserved and contain the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.attribution.idle import IdlePower
from agent.attribution.parts import CPU_TIME, DEVICE, TOKENS, Work, split, tokens_of
from agent.energy.bounds import Energy

JOULES = st.floats(0, 1e6)
AMOUNT = st.floats(0, 1e4)
SHARE = st.floats(0, 1)


@st.composite
def energies(draw: st.DrawFn) -> Energy:
    joules = draw(JOULES)
    return Energy(joules, joules * draw(SHARE), joules * (1 + draw(SHARE)))


@st.composite
def idle_powers(draw: st.DrawFn) -> IdlePower:
    watts = draw(st.floats(0, 500))
    if draw(st.booleans()):
        return IdlePower(0.0, 0.0, draw(st.sampled_from([math.inf, watts])))
    return IdlePower(watts, watts * draw(SHARE), watts * (1 + draw(SHARE)), 1)


@st.composite
def works(draw: st.DrawFn) -> Work:
    servers = draw(st.dictionaries(st.sampled_from("abc"), AMOUNT, min_size=1))
    return Work(CPU_TIME, servers, draw(AMOUNT), draw(st.sampled_from([0.0, 0.01, 1.0, math.inf])))


@given(energies(), st.floats(0.1, 100), idle_powers(), works())
def test_no_part_is_negative_and_each_lies_within_its_bounds(
    energy: Energy, seconds: float, idle: IdlePower, work: Work
) -> None:
    parts = split(energy, seconds, idle, work)
    for part in (parts.idle, parts.unattributed, *parts.attributed.values()):
        assert 0 <= part.lower <= part.joules * (1 + 1e-9) + 1e-9
        assert part.joules <= part.upper * (1 + 1e-9) + 1e-9


@given(energies(), st.floats(0.1, 100), idle_powers(), works())
def test_the_parts_add_up_to_the_energy_except_for_the_residual(
    energy: Energy, seconds: float, idle: IdlePower, work: Work
) -> None:
    parts = split(energy, seconds, idle, work)
    total = math.fsum((parts.idle.joules, parts.unattributed.joules, *(e.joules for e in parts.attributed.values())))
    assert total + parts.residual == pytest.approx(energy.joules, rel=1e-9, abs=1e-6)
    assert parts.residual <= 1e-9 * energy.joules + 1e-6
    if energy.joules >= parts.idle.joules:
        assert parts.residual == pytest.approx(0, abs=1e-9 * energy.joules + 1e-6)


@given(
    seconds=st.floats(1, 100),
    idle_watts=st.floats(0, 300),
    watts_per_busy=st.floats(0, 300),
    busy=st.dictionaries(st.sampled_from("abc"), st.floats(0, 50), min_size=1),
    others=st.floats(0, 50),
    errors=st.lists(st.floats(-1, 1), min_size=6, max_size=6),
)
def test_on_a_known_device_each_part_contains_the_truth(
    seconds: float,
    idle_watts: float,
    watts_per_busy: float,
    busy: dict[str, float],
    others: float,
    errors: list[float],
) -> None:
    """Energy is idle power plus a constant per busy second; every reading has an error within its resolution."""
    tick = 0.02
    truth = {name: watts_per_busy * own for name, own in busy.items()}
    joules = idle_watts * seconds + sum(truth.values()) + watts_per_busy * others
    read = {name: max(0.0, own + tick * errors[at]) for at, (name, own) in enumerate(busy.items())}
    work = Work(CPU_TIME, read, max(0.0, others + tick * errors[3]), tick)
    energy = Energy(joules * (1 + 0.01 * errors[4]), joules * 0.97, joules * 1.03)
    idle = IdlePower(idle_watts * (1 + 0.01 * errors[5]), idle_watts * 0.98, idle_watts * 1.02, 1)
    parts = split(energy, seconds, idle, work)
    slack = 1e-6 + 1e-9 * joules
    assert parts.idle.lower - slack <= idle_watts * seconds <= parts.idle.upper + slack
    assert parts.unattributed.lower - slack <= watts_per_busy * others <= parts.unattributed.upper + slack
    for name, own in parts.attributed.items():
        assert own.lower - slack <= truth[name] <= own.upper + slack
    assert abs(parts.residual) <= parts.residual_bound + slack


def test_energy_above_idle_is_shared_by_work() -> None:
    parts = split(
        Energy(1000, 990, 1010), 5, IdlePower(100, 99, 101, 1), Work(CPU_TIME, {"a": 3.0, "b": 1.0}, 1.0, 0.0)
    )
    assert parts.idle == Energy(500, 495, 505)
    assert parts.attributed == {"a": Energy(300, 485 * 0.6, 515 * 0.6), "b": Energy(100, 97, 103)}
    assert parts.unattributed.joules == 100
    assert (parts.residual, parts.residual_bound) == (0, 30)


def test_energy_above_idle_is_unattributed_while_nothing_works() -> None:
    parts = split(Energy(600, 590, 610), 5, IdlePower(100, 99, 101, 1), Work(CPU_TIME, {"a": 0.0}, 0.0, 0.01))
    assert parts.unattributed.joules == 100
    assert parts.attributed["a"].joules == 0
    assert parts.attributed["a"].upper == pytest.approx(115)


def test_a_device_below_its_idle_power_has_a_negative_residual_within_the_bound() -> None:
    parts = split(Energy(480, 470, 490), 5, IdlePower(100, 90, 101, 1), Work(CPU_TIME, {"a": 1.0}))
    assert parts.residual == -20
    assert parts.residual_bound == 20 + 50
    assert (parts.attributed["a"].joules, parts.unattributed.joules) == (0, 0)


def test_idle_energy_is_bounded_by_the_energy_of_the_device_before_any_minute() -> None:
    parts = split(Energy(500, 490, 510), 5, IdlePower(0, 0, math.inf), Work(DEVICE, {"a": 1.0}, 0.0, math.inf))
    assert parts.idle == Energy(0, 0, 510)
    assert parts.attributed["a"] == Energy(500, 0, 510)


def test_a_split_by_tokens_is_bounded_only_by_the_energy_above_idle() -> None:
    work = Work(TOKENS, {"a": 30.0, "b": 10.0, "c": 0.0}, 0.0, math.inf)
    parts = split(Energy(600, 600, 600), 5, IdlePower(100, 100, 100, 1), work)
    assert parts.attributed == {"a": Energy(75, 0, 100), "b": Energy(25, 0, 100), "c": Energy(0, 0, 0)}


def test_negative_work_is_refused() -> None:
    with pytest.raises(ValueError, match="negative amount of work"):
        split(Energy(1, 1, 1), 1, IdlePower(0, 0, 0), Work(CPU_TIME, {"a": -1.0}))


def test_an_output_token_counts_as_two_and_a_half_input_tokens() -> None:
    assert tokens_of({"input_tokens": 10.0, "output_tokens": 4.0, "requests": 9.0}) == 20
