"""Offers of others for the same work: an instance by the hour, or an API by the token."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.cost.limits import AMOUNT, PART, POSITIVE, Range, TariffError, check_number, check_text
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_OFFERS = 100
_MOST_CERTIFICATIONS = 50
_HOUR_SECONDS = 3600.0
_CHANGE = Range(-1, 10, "more than -1 and at most 10 (-0.2 is 20 % cheaper each year)", low_excluded=True)
_STEP = Range(1, 366 * 86_400, "from 1 second to a year")

_RANGES: Mapping[str, Range] = {
    "price_per_hour": AMOUNT,
    "requests_per_second": POSITIVE,
    "output_tokens_per_second": POSITIVE,
    "utilization": PART,
    "billing_step_seconds": _STEP,
    "load_seconds": AMOUNT,
    "price_per_million_input_tokens": AMOUNT,
    "price_per_million_cached_input_tokens": AMOUNT,
    "price_per_million_output_tokens": AMOUNT,
    "price_change_per_year": _CHANGE,
}
_HOURLY = (
    *("requests_per_second", "output_tokens_per_second", "throughput_origin"),
    *("utilization", "billing_step_seconds", "load_seconds"),
)
_TOKEN_PRICES = tuple(name for name in _RANGES if name.startswith("price_per_million_"))


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of another provider, in `currency` (None: the currency of the tariff). None means "not given".

    Either an instance by the hour: `price_per_hour`, its throughput as `requests_per_second` or
    `output_tokens_per_second` with its origin, `utilization` (the used share of the throughput of the rented hours;
    None: whole instances follow the demand), `billing_step_seconds` (the smallest rented time) and `load_seconds` (the
    rented time before the model answers). Or an API: prices of a million tokens; cached input tokens without a price of
    their own cost as much as others. Without `data_leaves_premises` the data is assumed to leave. The price of next
    year is 1 + `price_change_per_year` times that of this year. `source` is the origin of the price, such as a page and
    a date. Raises TariffError, which names the field, if a value is of another type or out of range, or if the
    fields are not those of exactly one kind.
    """

    name: str
    price_per_hour: float | None = None
    requests_per_second: float | None = None
    output_tokens_per_second: float | None = None
    throughput_origin: Literal["stated", "measured"] | None = None
    utilization: float | None = None
    billing_step_seconds: float | None = None
    load_seconds: float | None = None
    price_per_million_input_tokens: float | None = None
    price_per_million_cached_input_tokens: float | None = None
    price_per_million_output_tokens: float | None = None
    currency: str | None = None
    region: str | None = None
    data_leaves_premises: bool | None = None
    certifications: tuple[str, ...] = ()
    price_change_per_year: float | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        check_text("name", self.name, "a name: it must be a text such as cloud-h100")
        for name, allowed in _RANGES.items():
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), allowed)
        for name, example in (("currency", "EUR"), ("region", "EU"), ("source", "https://example.com, January 2026")):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), f"a text such as {example}")
        if self.throughput_origin not in {None, "stated", "measured"}:
            raise TariffError(f'throughput_origin = {quoted(self.throughput_origin)} is not "stated" or "measured"')
        if not isinstance(self.data_leaves_premises, bool | None):
            raise TariffError(f"data_leaves_premises = {quoted(self.data_leaves_premises)} is not true or false")
        self._check_certifications()
        self._check_kind()

    def _check_certifications(self) -> None:
        if not isinstance(self.certifications, tuple) or len(self.certifications) > _MOST_CERTIFICATIONS:
            raise TariffError(f"certifications is not a list of texts, {_MOST_CERTIFICATIONS} of them at most")
        for each in self.certifications:
            check_text("certifications", each, 'a list of texts such as ["ISO 27001"]')

    def _check_kind(self) -> None:
        prices = [name for name in _TOKEN_PRICES if getattr(self, name) is not None]
        if self.is_hourly == bool(prices):
            given = f"price_per_hour and {prices[0]} are" if prices else "neither price_per_hour nor token prices are"
            raise TariffError(f"{given} given: an offer is an API with prices of tokens, or an instance by the hour")
        if prices == ["price_per_million_cached_input_tokens"]:
            raise TariffError("price_per_million_input_tokens or price_per_million_output_tokens is not given")
        if not self.is_hourly:
            for name in _HOURLY:
                if getattr(self, name) is not None:
                    raise TariffError(f"{name} belongs to an instance with price_per_hour, not to an API")
        elif (self.requests_per_second is None) == (self.output_tokens_per_second is None):
            raise TariffError(
                "an instance has either requests_per_second or output_tokens_per_second: its throughput, as measured "
                "or as stated by the provider"
            )

    @property
    def is_hourly(self) -> bool:
        """Whether this is an instance by the hour."""
        return self.price_per_hour is not None

    @property
    def step_seconds(self) -> float:
        """The billing step, an hour if none is given."""
        return _HOUR_SECONDS if self.billing_step_seconds is None else self.billing_step_seconds

    @property
    def leaves_premises(self) -> bool:
        """Whether the data leaves the premises, which is assumed unless the offer denies it."""
        return self.data_leaves_premises is not False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """The values that the offer does not give and a calculation assumes, each as a sentence."""
        hourly = (
            (self.billing_step_seconds is None, "billing_step_seconds is not given: an hour"),
            (self.load_seconds is None, "load_seconds is not given: 0"),
            (self.throughput_origin is None, "throughput_origin is not given: stated by the provider, not measured"),
        )
        shared = ((self.data_leaves_premises is None, "data_leaves_premises is not given: the data leaves"),)
        return tuple(text for absent, text in ((*hourly, *shared) if self.is_hourly else shared) if absent)


def read_offers(tables: object) -> tuple[Offer, ...]:
    """Return the offers of the tables `[[offer]]` of a tariff.

    Raises TariffError, which names the offer and the field, for an unknown key and as Offer does, and for a name that
    two offers have.
    """
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise TariffError("offer is not a list of tables: begin each offer with a line [[offer]]")
    if len(tables) > _MOST_OFFERS:
        raise TariffError(f"{len(tables)} offers are too many: give at most {_MOST_OFFERS}")
    offers = tuple(_offer(number, table) for number, table in enumerate(tables, 1))
    check_names(offers)
    return offers


def check_names(offers: Iterable[Offer]) -> None:
    """Raise TariffError if two offers have the same name."""
    seen: set[str] = set()
    for offer in offers:
        if offer.name in seen:
            raise TariffError(f"two offers have the name {quoted(offer.name)}: give each a name of its own")
        seen.add(offer.name)


def check_currencies(offers: Iterable[Offer], currency: str | None) -> None:
    """Raise TariffError, which names the offer, if an offer is in another currency than the tariff."""
    for offer in offers:
        if offer.currency is not None and offer.currency != currency:
            own = "names no currency" if currency is None else f"is in {currency}"
            raise TariffError(
                f"offer {offer.name} is in {offer.currency}, and the tariff {own}: amounts are never converted. Give "
                "both in one currency"
            )


def _offer(number: int, table: Mapping[str, Any]) -> Offer:
    name = table.get("name")
    place = f"offer {number}" + (f" ({name})" if isinstance(name, str) and name.isprintable() else "")
    known = Offer.__struct_fields__
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            raise TariffError(f"{place}: unknown key {quoted(key)}: {hint}")
    if name is None:
        raise TariffError(f'{place}: name is not given: write name = "cloud-h100", for example')
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return Offer(**values)
    except TariffError as error:
        raise TariffError(f"{place}: {error}") from None
