"""The ranges of the numbers and texts of a tariff, and the error of a value outside."""

from __future__ import annotations

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


_LARGEST = 1e15
"""More than any price, power or rate, and small enough that no sum of them overflows."""
AMOUNT = Range(0, _LARGEST, "0 or more, and at most 1e15")
POSITIVE = Range(1e-9, _LARGEST, "more than 0: from 1e-9 to 1e15")
SHARE = Range(0, 1, "from 0 to 1 (0.05 is 5 %)")
PART = Range(1e-9, 1, "from 1e-9 to 1 (0.3 is 30 %)")
OVERHEAD = Range(1, 1000, "from 1 to 1000")


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
