"""The offers of a tariff beside one machine: the price of a unit of its work, and the utilizations at which it wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.break_even import break_even_utilizations
from agent.cost.rented import UnsuitableOfferError, rental
from agent.profiling.offer_inputs import mix_of
from agent.profiling.pricing import NoCostError, hourly_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.cost.break_even import Range
    from agent.cost.hourly import HourlyModel
    from agent.report.view import View


@dataclass(frozen=True, slots=True)
class PricedOffer:
    """An offer: its price of a request, and the utilizations at which the own machine costs less.

    The price of an instance whose utilization is not given is that of one that is always busy.
    """

    name: str
    price_per_request: float
    cheaper: tuple[Range, ...]
    always_busy: bool

    @property
    def label(self) -> str:
        """The name with the condition of the price."""
        return f"{self.name}, always busy" if self.always_busy else self.name


def machine_of(view: View) -> HourlyModel | None:
    """Return the machine of a profile at its chosen point, None without the prices or the idle power for it."""
    if view.point is None or view.document.tariff is None:
        return None
    try:
        return hourly_model(view.document, view.point, view.document.tariff)
    except NoCostError:
        return None


def priced_offers(view: View) -> Iterator[PricedOffer]:
    """Yield the offers that serve the work of the chosen point: the cheapest first, those always busy last."""
    machine, point, tariff = machine_of(view), view.point, view.document.tariff
    if machine is None or point is None or tariff is None:
        return
    mix = mix_of(point)
    found = []
    for offer in tariff.offers:
        try:
            priced = rental(offer, mix)
        except UnsuitableOfferError:
            continue
        price, busy = priced.at_full_use(), priced.price_per_request is None
        found.append(PricedOffer(offer.name, price, break_even_utilizations(machine, price), busy))
    yield from sorted(found, key=lambda each: (each.always_busy, each.price_per_request))
