"""Reads the answers of instruments to SCPI queries (SCPI-1999, IEEE 488.2)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[-+]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][-+]?\d{1,3})?", re.ASCII)
_QUERY = re.compile(r"[*:A-Za-z0-9 ]{1,64}\?[ A-Za-z0-9,.:()@\"]{0,64}")
_NOT_A_NUMBER = 9.9e37
"""9.91E37 is "not a number" and 9.9E37 infinity (SCPI-1999, volume 1, 7.2.1.4)."""


def check_place(query: str) -> None:
    """Raise ValueError if this is neither empty nor one query, which asks and sets nothing."""
    if query and not _QUERY.fullmatch(query):
        raise ValueError('is not one query such as ":MEASure:POWer?"')


def number_in(answer: str) -> float | None:
    """Return the first number of an answer, None if it has none or the instrument has no value."""
    first = answer.partition(",")[0].strip()
    if not _NUMBER.fullmatch(first):
        return None
    found = float(first)
    return found if math.isfinite(found) and abs(found) < _NOT_A_NUMBER else None


def identity_in(answer: str) -> Mapping[str, str]:
    """Return the model, with its maker, the serial number and the firmware of an answer to `*IDN?`."""
    maker, model, serial, firmware = [*(field.strip() for field in answer.split(",", 3)), "", "", "", ""][:4]
    return {"model": f"{maker} {model}".strip(), "serial": "" if serial == "0" else serial, "firmware": firmware}
