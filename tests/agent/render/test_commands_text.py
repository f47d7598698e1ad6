"""The comparison of the commands of one run as text."""

from __future__ import annotations

import pytest

from agent.comparison.significance import Ratio
from agent.render.commands_text import ratio_words


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Ratio(1.2, 1.15, 1.255, None), "1.20 ± 0.05 times faster"),
        (Ratio(1 / 1.2, 1 / 1.255, 1 / 1.15, None), "1.20 ± 0.05 times slower"),
        (Ratio(15.0, 1.2, 190.0, None), "15.0 times faster (1.20 to 190 times)"),
        (Ratio(0.1, 0.02, 0.5, None), "10.0 times slower (2.00 to 50.0 times)"),
        (Ratio(3.0, 2.0, None, None), "3.00 times faster (2.00 to any times)"),
        (Ratio(0.3, None, 0.5, None), "3.33 times slower (2.00 to any times)"),
        (Ratio(1.0, 0.9, 1.1, None), "no clear difference of speed (0.900 to 1.10 times)"),
        (Ratio(0.2, None, None, None), "no clear difference of speed (0 to any times)"),
        (None, "speed unknown"),
    ],
)
def test_a_ratio_has_its_interval_in_the_direction_of_its_word(found: Ratio | None, text: str) -> None:
    assert ratio_words(found, "faster", "slower", "speed") == text
