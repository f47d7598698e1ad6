"""Differences of a comparison in words."""

from __future__ import annotations

import pytest

from agent.comparison.records import Difference
from agent.render.comparison_text import difference_text

COST, RATE = "cost_per_million_inferences", "inferences_per_second"
RUN = "within this run only"


@pytest.mark.parametrize(
    ("metric", "difference", "text"),
    [
        (COST, Difference("significant", 1 / 1.8, 1 / 1.9, 1 / 1.7), "1.80x ± 0.10 cheaper"),
        (COST, Difference("significant", 1.8, 1.75, 1.85), "1.80x ± 0.05 dearer"),
        (RATE, Difference("significant", 12.0, 9.5, 14.0), "12x ± 3 more"),
        (RATE, Difference("significant", 2.0, 2.0, 2.0), "2.000x ± 0.000 more"),
        (RATE, Difference("significant", 0.5, 0.4, 0.51), "2.00x (1.96x to 2.50x) less"),
        (RATE, Difference("significant", 2.0, 1.2, None), "2.00x more"),
        (RATE, Difference("not significant", 1.1, 0.9, 1.3), "no significant difference (0.90x to 1.30x)"),
        (RATE, Difference("not significant", 2.0, 1.1, 3.3), "not significant once corrected (1.10x to 3.30x)"),
        (RATE, Difference("not significant", 1.1, None, 1.3), "no significant difference (up to 1.30x)"),
        (RATE, Difference("not significant", 1.1, 0.9, None), "no significant difference (0.90x or more)"),
        (RATE, Difference("not significant", 1.1), "no significant difference (without bounds)"),
        (RATE, Difference(RUN, 1.1, 0.9, 1.3), "no difference shown (0.90x to 1.30x)"),
        (RATE, Difference(RUN, 1.1, 0.9, None), "no difference shown (0.90x or more)"),
        (RATE, Difference(RUN, 1.2, 1.1, 1.3), "1.20x ± 0.10 more"),
        (RATE, Difference(RUN, 0.8), "1.25x less, without interval"),
        (RATE, Difference(RUN, 1.0), "equal"),
        (RATE, Difference("not comparable", reason="a value is 0"), "not comparable: a value is 0"),
    ],
)
def test_a_difference_is_a_ratio_above_one_with_its_interval(metric, difference, text) -> None:
    assert difference_text(metric, difference) == text
