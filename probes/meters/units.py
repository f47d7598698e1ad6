"""The units of energy that meters count in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

JOULES: Mapping[str, float] = {"J": 1.0, "Wh": 3600.0, "kWh": 3.6e6, "Wmin": 60.0}
"""The joules of each unit."""
