"""Numbers of tokens: a fixed number, or a distribution such as `lognormal:512,0.6`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.runtime.numbers import shortened

if TYPE_CHECKING:
    import random

MOST_TOKENS = 1 << 20
_EXAMPLE = (
    "give numbers of tokens such as 128,512, lognormal:MEDIAN,SIGMA such as lognormal:512,0.6, or uniform:128,512"
)
_LARGEST_SIGMA = 3.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of numbers of tokens.

    `fixed` is always `first`; `uniform` is a whole number from `first` to `second`; `lognormal` has the median `first`
    and the standard deviation `second` of the natural logarithm. Draws are limited to 1 and to MOST_TOKENS.
    """

    kind: Literal["fixed", "uniform", "lognormal"]
    first: float
    second: float = 0.0

    def draw(self, source: random.Random) -> int:
        """Return the next number."""
        if self.kind == "fixed":
            return int(self.first)
        if self.kind == "uniform":
            return source.randint(int(self.first), int(self.second))
        return max(1, min(MOST_TOKENS, round(self.first * math.exp(source.gauss(0.0, self.second)))))

    @property
    def middle(self) -> int:
        """The median."""
        return int(self.first) if self.kind != "uniform" else int(self.first + self.second) // 2


def parse_lengths(value: int | str) -> Lengths:
    """Return the distribution in a value of --prompt-tokens or --output-tokens. Raises ValueError."""
    if isinstance(value, int):
        if 1 <= value <= MOST_TOKENS:
            return Lengths("fixed", value)
        raise ValueError(f"{value} is not from 1 to {MOST_TOKENS}: {_EXAMPLE}")
    kind, _, numbers = value.partition(":")
    try:
        first, second = (float(part) for part in numbers.split(","))
    except ValueError:
        first = second = math.nan
    if kind == "lognormal" and 1 <= first <= MOST_TOKENS and 0 <= second <= _LARGEST_SIGMA:
        return Lengths("lognormal", first, second)
    if kind == "uniform" and 1 <= first <= second <= MOST_TOKENS and first == int(first) and second == int(second):
        return Lengths("uniform", first, second)
    raise ValueError(f"{shortened(value)!r} is neither a number nor a distribution: {_EXAMPLE}")


def parse_length_list(text: str) -> list[int | str]:
    """Return the values in a comma-separated list; a distribution has a comma of its own. Raises ValueError."""
    values: list[int | str] = []
    parts = [part.strip() for part in text.split(",")]
    while parts:
        part = parts.pop(0)
        if ":" in part and parts:
            part = f"{part},{parts.pop(0)}"
        values.append(int(part) if part.isascii() and part.isdigit() and len(part) <= len(str(MOST_TOKENS)) else part)
        parse_lengths(values[-1])
    return values
