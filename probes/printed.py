"""Reads what programs print: JSON behind a banner, quantities with their units, and the channels of the values."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from probes.errors import ReadError
from probes.model import Reason, Rejection
from probes.plausibility import check_gauge
from probes.text import decoded

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from probes.counter import Counter
    from probes.model import Channel

_ABSENT = frozenset({"", "-", "--", "n/a", "na", "nan", "none", "null", "unknown", "[not supported]", "not supported"})
_QUANTITY = re.compile(r"([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*([^\d\s]*)", re.IGNORECASE | re.ASCII)
_MOST_STARTS = 100
"""The brackets at which JSON is tried: each of millions in damaged output would cost a deep, failing attempt."""
_LONGEST_QUANTITY = 64
"""A longer text may have been cut short, and is no value of a device."""
_UNITS: Mapping[str, tuple[str, float]] = {
    "w": ("watts", 1.0),
    "mw": ("watts", 1e-3),
    "uw": ("watts", 1e-6),
    "kw": ("watts", 1e3),
    "j": ("joules", 1.0),
    "mj": ("joules", 1e-3),
    "uj": ("joules", 1e-6),
    "wh": ("joules", 3600.0),
    "kwh": ("joules", 3.6e6),
    "c": ("celsius", 1.0),
    "°c": ("celsius", 1.0),
    "mc": ("celsius", 1e-3),
    "%": ("ratio", 0.01),
    "ratio": ("ratio", 1.0),
    "hz": ("hertz", 1.0),
    "khz": ("hertz", 1e3),
    "mhz": ("hertz", 1e6),
    "ghz": ("hertz", 1e9),
    "b": ("bytes", 1.0),
    "kib": ("bytes", 2.0**10),
    "mib": ("bytes", 2.0**20),
    "gib": ("bytes", 2.0**30),
    "kb": ("bytes", 1e3),
    "mb": ("bytes", 1e6),
    "gb": ("bytes", 1e9),
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "us": ("seconds", 1e-6),
}
"""The base unit and the factor of each unit, in lower case; `mW` and `MW` are one, as no device draws megawatts."""


def json_in(text: str) -> Any:
    """Return the JSON value in the output of a program, after any lines of a banner. Raises ReadError."""
    for match in islice(re.finditer(r"[\[{]", text), _MOST_STARTS):
        with suppress(ValueError, RecursionError):
            return json.JSONDecoder().raw_decode(text, match.start())[0]
    raise ReadError(f"no JSON in the output {decoded(text[:200].encode())!r}")


def quantity(value: object, unit: str) -> float | None:
    """Return a printed quantity in the base unit of `unit`, such as 17.5 for "17521800uW" and "W".

    A number without a unit has `unit`. None if there is no value ("N/A", "-", null), or if its unit is unknown or of
    another quantity.
    """
    wanted = _UNITS[unit.lower()]
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    match = _QUANTITY.fullmatch(text)
    if text.lower() in _ABSENT or match is None or len(text) > _LONGEST_QUANTITY:
        return None
    own = _UNITS.get(match[2].lower(), ("", 0.0)) if match[2] else wanted
    number = float(match[1]) * own[1]
    return number if own[0] == wanted[0] and math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Printed:
    """One channel and the key of its value in what the parser returns; a counter counts in microunits."""

    channel: Channel
    key: Hashable
    counter: Counter | None = None

    def value(self, found: float | None, at_ns: int) -> float | Reason:
        """Return the value in the unit of the channel, NaN without one, or the reason for its rejection."""
        if found is None:
            return math.nan
        if self.counter is None:
            return check_gauge(self.channel, found)
        return self.counter.advance(round(found * 1e6), at_ns) or self.counter.total / 1e6


def checked(
    printed: Sequence[Printed], found: Mapping[Hashable, float | None], at_ns: int, rejections: list[Rejection]
) -> list[float]:
    """Return one value for each channel, NaN for one that is absent or rejected; the reasons go to `rejections`."""
    values = []
    for position, each in enumerate(printed):
        value = each.value(found.get(each.key), at_ns)
        if isinstance(value, Reason):
            rejections.append(Rejection(position, value))
            value = math.nan
        values.append(value)
    return values
