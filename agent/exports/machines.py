"""The measured machine and model of a profile as planners name them, and the price of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.exports.records import ExportError
from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.exports.loads import Load
    from agent.profiling.records import Document

_BYTES_PER_GIGABYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices that do the work: the accelerators if there are any, else the processors.

    `name` is the model of one device, `count` their number, `memory_gb` the memory of the host in GiB if the processors
    do the work, None for accelerators, whose memory a profile lacks.
    """

    name: str | None
    count: int
    memory_gb: int | None


def machine_of(document: Document) -> Machine:
    """Return the devices of a profile that do the work."""
    gpus = [each for each in document.devices if each.kind == Kind.GPU and each.sensors]
    if gpus:
        return Machine(gpus[0].name, len(gpus), None)
    memory = document.host.memory_bytes
    return Machine(document.host.cpu_model, 1, None if memory is None else round(memory / _BYTES_PER_GIGABYTE))


def check_alike(documents: Iterable[Document]) -> None:
    """Raise ExportError unless the profiles are of one machine and of one model."""
    names = {(each.host.id, model_of(each)): f"{model_of(each)} on {each.host.name}" for each in documents}
    if len(names) > 1:
        raise ExportError([f"profiles of one model on one machine: these are of {', '.join(sorted(names.values()))}"])


def model_of(document: Document) -> str | None:
    """Return the name of the served model."""
    name = document.workload.settings.get("model")
    return name if isinstance(name, str) and name else None


def hour_price(loads: Iterable[Load], currency: str | None = None) -> tuple[float | None, str]:
    """Return the cost of an hour of the machine at full use, and the reason if there is none.

    It is the highest of the points: an hour at full load with its energy. Another `currency` than that of the tariff is
    refused, since nothing is converted.
    """
    costs = [each.point.cost for each in loads if each.point.cost is not None]
    if not costs:
        return (
            None,
            "the cost of an hour: give prices with --tariff FILE.toml (price_per_kwh and capital, or price_per_hour)",
        )
    other = {cost.currency or "no currency" for cost in costs} - {currency}
    if currency is not None and other:
        return None, f"prices in {currency}, and nothing is converted: the tariff is in {', '.join(sorted(other))}"
    totals = [cost.usage.per_hour.total for cost in costs]
    known = [total for total in totals if total is not None]
    if len(known) < len(totals):
        return None, f"the cost of an hour: {costs[0].usage.no_total_reason}; give prices with --tariff FILE.toml"
    return max(known), ""
