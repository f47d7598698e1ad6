"""The cost of a request is divided between its input and its output tokens by the best method that is possible."""

from __future__ import annotations

import builtins

import pytest

from agent.cost.token_split import Lengths, SplitInputs, split_tokens

IDLE, PER_REQUEST, PER_INPUT, PER_OUTPUT = 50.0, 2.0, 0.01, 0.2
OWN = Lengths(300, 100, 20, 0.5)


def request(inputs, outputs, seconds):
    return Lengths(inputs, outputs, IDLE * seconds + PER_REQUEST + PER_INPUT * inputs + PER_OUTPUT * outputs, seconds)


def grid(seconds=lambda _inputs, _outputs: 0.1, lengths=((64, 512, 4096), (16, 128, 1024))):
    return [request(inputs, outputs, seconds(inputs, outputs)) for inputs in lengths[0] for outputs in lengths[1]]


def split(points, joules=None, seconds=None):
    return split_tokens(SplitInputs(points[0], tuple(points[1:]), joules, seconds))


def test_a_regression_over_lengths_finds_the_energy_of_each_kind_of_token():
    found = split(grid())
    whole = PER_INPUT * 64 + PER_OUTPUT * 16
    assert (found.method, found.refused) == ("regression", ())
    assert found.input_share == pytest.approx(PER_INPUT * 64 / whole)


def test_a_regression_separates_idle_power_if_the_times_vary_by_themselves():
    times = iter((0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6, 0.5))
    found = split(grid(lambda *_: next(times)))
    assert found.input_share == pytest.approx(PER_INPUT * 64 / (PER_INPUT * 64 + PER_OUTPUT * 16))


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([OWN], "it needs 3 lengths of prompts times 3 of outputs at one load; these are 1 times 1 in 1 points"),
        (grid(lengths=((64, 512), (16, 128, 1024))), "these are 2 times 3 in 6 points"),
        (grid(lengths=((1000, 1010, 1020), (1000, 1010, 1020))), "cannot be separated"),
        ([Lengths(each.input_tokens, each.output_tokens, 5 - each.output_tokens / 1e3, 0.1) for each in grid()],
         "does not rise with both"),
    ],
)  # fmt: skip
def test_a_regression_that_cannot_separate_tokens_is_refused_with_its_reason(points, reason):
    found = split(points)
    assert found.method == "multiplier"
    assert [each.method for each in found.refused] == ["regression", "phases", "compute_time"]
    assert reason in found.refused[0].reason


def test_without_scipy_the_regression_is_refused(monkeypatch):
    original = builtins.__import__

    def importing(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert "inferometer[planning]" in split(grid()).refused[0].reason


def test_the_phases_divide_the_energy_before_the_times_do():
    found = split([OWN], joules=(3.0, 9.0), seconds=(1.0, 1.0))
    assert (found.method, found.input_share) == ("phases", 0.25)
    found = split([OWN], joules=(0.0, 0.0), seconds=(1.0, 4.0))
    assert (found.method, found.input_share) == ("compute_time", 0.2)
    assert split([OWN], seconds=(0.0, 0.0)).method == "multiplier"


def test_an_output_token_costs_two_and_a_half_input_tokens_if_nothing_better_is_known():
    found = split([OWN])
    assert found.input_share / 300 * 2.5 == pytest.approx((1 - found.input_share) / 100)


@pytest.mark.parametrize("own", [Lengths(0, 10, 1, 1), Lengths(10, 0, 1, 1)])
def test_work_with_one_kind_of_token_is_not_divided(own):
    assert split([own]) is None
