"""The uncertain measurements behind a cost, as plain records from which draws are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UncertainAmount:
    """A measured amount in its own unit.

    `standard_error` is that of the mean of the repeats with its `degrees` of freedom, both 0 if there is one repeat.
    `below` and `above` are the largest errors by the sensors on each side, to which each of the `sensors`, by name,
    contributes its share; the shares sum to 1.
    """

    mean: float
    standard_error: float = 0.0
    degrees: int = 0
    below: float = 0.0
    above: float = 0.0
    sensors: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class MachineInputs:
    """The measurements of a machine at full use: joules of a unit of work, and units of work a second.

    `idle_watts` is its power without work, None if it was not measured; `loads` is its power by the utilizations in
    between, rising.
    """

    joules: UncertainAmount
    rate: UncertainAmount
    idle_watts: UncertainAmount | None
    loads: tuple[tuple[float, UncertainAmount], ...] = ()
