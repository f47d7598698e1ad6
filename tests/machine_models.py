"""Machines with round numbers, for the choice of the cheapest ones."""

from __future__ import annotations

from agent.comparison.machines import Machine
from agent.cost.hourly import HourlyModel


def machine(label="A", fixed=1.0, idle=100.0, busy=400.0, capacity=10.0, curve=None, host="h", **more) -> Machine:
    """A machine that costs `fixed` an hour without energy, at 0.25 for a kilowatt-hour."""
    model = HourlyModel(fixed, 0.25, 1.0, curve or ((0.0, idle), (1.0, busy)), capacity)
    facts = {"estimated": False, "currency": "EUR", **more}
    return Machine(label, f"machine {label}", host, model, **facts)
