"""Numbers of tokens from the command line."""

from __future__ import annotations

import random
import statistics

import pytest

from agent.workloads.endpoint.lengths import MOST_TOKENS, parse_length_list, parse_lengths


def test_a_list_has_numbers_and_distributions():
    assert parse_length_list("128, 512") == [128, 512]
    assert parse_length_list("lognormal:512,0.6") == ["lognormal:512,0.6"]
    assert parse_length_list("8,uniform:16,32,64") == [8, "uniform:16,32", 64]


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "x", "uniform:5", "uniform:9,3", "lognormal:0,1", "normal:1,2", "lognormal:9,nan"]
)
def test_other_lengths_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"lognormal:512,0\.6"):
        parse_length_list(text)


def test_a_number_beyond_the_limit_is_refused():
    with pytest.raises(ValueError, match=str(MOST_TOKENS)):
        parse_lengths(MOST_TOKENS + 1)


def test_draws_follow_the_distribution():
    source = random.Random(1)
    assert {parse_lengths(7).draw(source) for _ in range(9)} == {7}
    uniform = [parse_lengths("uniform:3,6").draw(source) for _ in range(500)]
    assert set(uniform) == {3, 4, 5, 6}
    drawn = sorted(parse_lengths("lognormal:512,0.6").draw(source) for _ in range(5001))
    assert drawn[2500] == pytest.approx(512, rel=0.05)
    assert drawn[int(5001 * 0.841)] / drawn[2500] == pytest.approx(2.718281828**0.6, rel=0.08)
    assert statistics.mean(drawn) > 512


def test_equal_seeds_draw_equal_lengths():
    lengths = parse_lengths("lognormal:64,1")
    assert [lengths.draw(random.Random(5)) for _ in range(3)] == [lengths.draw(random.Random(5)) for _ in range(3)]
