"""The ranges of the numbers and texts of a tariff, and the error of a value outside."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from agent.runtime.text_input import quoted

_LONGEST_TEXT = 200


class TariffError(ValueError):
    """A tariff is invalid: the message names the file, the field, its value and the allowed range."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, without `low` itself if `low_excluded`; `allowed` describes them."""

    low: float
    high: float
    allowed: str
    low_excluded: bool = False

    def contains(self, value: float) -> bool:
        """Return whether a number is in the range; NaN is not."""
        return self.low <= value <= self.high and not (self.low_excluded and value == self.low)


AMOUNT = Range(0, sys.float_info.max, "0 or more")
POSITIVE = Range(0, sys.float_info.max, "more than 0", low_excluded=True)
SHARE = Range(0, 1, "from 0 to 1 (0.05 is 5 %)")
PART = Range(0, 1, "more than 0 and at most 1 (0.3 is 30 %)", low_excluded=True)
OVERHEAD = Range(1, sys.float_info.max, "1 or more")


def check_number(name: str, value: object, allowed: Range) -> None:
    """Raise TariffError, which names the field, unless a value is a number of its range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TariffError(f"{name} = {quoted(value)} is not a number: it must be {allowed.allowed}")
    if not allowed.contains(value):
        raise TariffError(f"{name} = {quoted(value)} is out of range: it must be {allowed.allowed}")


def check_text(name: str, value: object, wanted: str) -> None:
    """Raise TariffError, which names the field, unless a value is a text that can be printed on one line.

    `wanted` completes the sentence "... is not".
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise TariffError(f"{name} = {quoted(value)} is not {wanted}")
