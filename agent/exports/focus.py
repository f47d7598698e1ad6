"""FOCUS 1.2, the billing format of the FinOps Foundation: the work of each point as a charge of the machine's owner.

The columns are those of the dataset Cost and Usage, https://focus.finops.org/focus-specification/v1-2/.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agent.exports.costs import left_out, priced_points
from agent.exports.csv_file import csv_file
from agent.exports.records import Exported, Exporter, ExportError, Fact
from agent.profiling.document.moment import moment_of
from agent.profiling.pricing import met_share
from agent.render.profile_summary import model_name

if TYPE_CHECKING:
    from agent.cost.interval import Interval
    from agent.exports.costs import PricedPoint
    from agent.exports.records import ExportRequest
    from agent.profiling.records import Point, UncertainValue

_ISSUER = "Inferometer"
_TOKENS, _TOKENS_PRICED = "1000000 Tokens", 1_000_000


class _Unit(NamedTuple):
    """The unit of a charge, and the words of FOCUS for such work."""

    priced: str
    consumed: str
    meter: str
    subcategory: str


_INFERENCES = _Unit("Requests", "Requests", "Inferences", "Machine Learning")
_CODE_LENGTH = 3
_DIGITS = Decimal("1e-12")
"""The last digit of an amount of money."""
_CONTEXT = Context(prec=60)
"""Digits for the largest amount: the usual 28 are too few for 1e17 with 12 decimals."""


_PRICES = (
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
)
_FIXED: dict[str, str | None] = {
    **dict.fromkeys(("AvailabilityZone", "CapacityReservationId", "CapacityReservationStatus", "ChargeClass")),
    **dict.fromkeys(f"CommitmentDiscount{each}" for each in ("Category", "Id", "Name", "Quantity", "Status", "Type")),
    **dict.fromkeys(("CommitmentDiscountUnit", "InvoiceId", "SubAccountId", "SubAccountName", "SubAccountType")),
    **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), _ISSUER),
    "BillingAccountType": "Host",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "PricingCategory": "Standard",
    "ResourceType": "Host",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "Inference",
    "Tags": "{}",
}


def _export(request: ExportRequest) -> Exported:
    priced = priced_points(request.documents)
    for each in priced:
        if len(each.currency) != _CODE_LENGTH or not (each.currency.isascii() and each.currency.isupper()):
            reason = f"{each.document.id}: a currency by its code of ISO 4217, such as EUR: its tariff has"
            raise ExportError([f"{reason} {each.currency[:20]!r}"])
    charges = [_charge(each, request.text("region")) for each in priced]
    columns = tuple(charges[0])
    return Exported(
        {"focus.csv": csv_file(columns, [tuple(charge.values()) for charge in charges])}, _notes(request, priced)
    )


EXPORTER = Exporter(
    name="focus",
    summary="charges as FOCUS 1.2 CSV, for FinOps tools",
    files=_export,
    facts=(Fact("region", "region of the machine, such as eu-central"),),
)


def _notes(request: ExportRequest, priced: list[PricedPoint]) -> tuple[str, ...]:
    notes = ["a charge is the work of one point in its measured windows, dated by the day of the profile"]
    if any(met_share(each.point) < 1 for each in priced):
        notes.append("requests that missed the service level are not charged: the others bear their cost")
    if any(each.point.energy and each.point.energy.estimated_share for each in priced):
        notes.append("x_EnergySource names the charges whose energy is estimated")
    return (*notes, *(note for document in request.documents for note in left_out(document)))


def _charge(priced: PricedPoint, region: str | None) -> dict[str, Any]:
    """Return one row: the inferences of the windows of a point, or their output tokens if the model has any.

    Where a service level was met, these are the inferences that met it, which bear the cost of the others.
    """
    document, point = priced.document, priced.point
    inferences = min(phase.inferences for phase in point.phases)
    tokens, model = priced.work.output_tokens, model_name(msgspec.to_builtins(document.workload))
    unit = _Unit(_TOKENS, "Tokens", "Output Tokens", "Generative AI") if tokens else _INFERENCES
    charged = inferences * met_share(point)
    count = round(charged * (tokens or 1.0))
    quantity = Decimal(count) / _TOKENS_PRICED if tokens else Decimal(count)
    price = priced.total.mean * _TOKENS_PRICED / tokens if tokens else priced.total.mean
    details = _details(priced, model)
    charge = {
        **_FIXED,
        **_periods(document.created),
        **_money(quantity, Decimal(price).quantize(_DIGITS, context=_CONTEXT), priced.currency),
        "BillingAccountId": document.host.id,
        "BillingAccountName": document.host.name,
        "ChargeDescription": f"{model}, {point.name or document.workload.name}, profile {document.id}",
        "ConsumedQuantity": _decimal(Decimal(count)),
        "ConsumedUnit": unit.consumed,
        "PricingUnit": unit.priced,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": document.host.id,
        "ResourceName": document.host.name,
        "ServiceSubcategory": unit.subcategory,
        "SkuId": f"{model}/{document.workload.name}",
        "SkuMeter": unit.meter,
        "SkuPriceDetails": json.dumps(details, allow_nan=False),
        "SkuPriceId": hashlib.sha256(json.dumps(details, sort_keys=True).encode()).hexdigest()[:16],
        **_own_columns(priced, inferences, charged),
    }
    return dict(sorted(charge.items()))


def _periods(created: str) -> dict[str, str]:
    """Return the day of a profile as the period of its charges, and the month as that of the bill, both in UTC."""
    day = moment_of(created).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    return {
        "BillingPeriodStart": _time(month),
        "BillingPeriodEnd": _time((month + timedelta(days=32)).replace(day=1)),
        "ChargePeriodStart": _time(day),
        "ChargePeriodEnd": _time(day + timedelta(days=1)),
    }


def _money(quantity: Decimal, price: Decimal, currency: str) -> dict[str, str]:
    """Return the columns of prices and costs; without discounts and taxes they are all the same."""
    costs = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost")
    return {
        **dict.fromkeys(costs, _decimal(quantity * price)),
        **dict.fromkeys(_PRICES, _decimal(price)),
        **dict.fromkeys(("BillingCurrency", "PricingCurrency"), currency),
        "PricingQuantity": _decimal(quantity),
    }


def _own_columns(priced: PricedPoint, inferences: int, charged: float) -> dict[str, str | int | None]:
    """Return the columns that FOCUS does not define; joules and money are those of the charge, with their bounds.

    `charged` are the inferences that the cost is divided by.
    """
    point, cost, work = priced.point, priced.cost, priced.work
    per_token = point.energy.joules_per_output_token if point.energy else None
    carbon = point.cost.carbon_grams_per_inference if point.cost else None
    return {
        "x_AssumedPrices": priced.assumed or None,
        "x_CachedInputTokens": _count(priced.cached_tokens, charged),
        "x_CarbonGrams": _scaled(_mean(carbon), charged),
        "x_CostBasis": priced.basis,
        "x_CostLower": _scaled(priced.total.lower, charged),
        "x_CostUpper": _scaled(priced.total.upper, charged),
        "x_EnergyBoundary": priced.document.coverage.boundary,
        "x_EnergyCost": _scaled(_mean(cost.per_inference.energy), charged),
        **_joules(point, inferences),
        "x_Inferences": round(charged),
        "x_InputTokens": _count(work.input_tokens, charged),
        "x_JoulesPerOutputToken": _scaled(_mean(per_token), 1),
        "x_Point": point.name or None,
        "x_ProfileId": priced.document.id,
        "x_Utilization": _scaled(cost.utilization, 1),
    }


def _joules(point: Point, inferences: int) -> dict[str, str | None]:
    if point.energy is None:
        return dict.fromkeys(("x_EnergyJoules", "x_EnergyJoulesLower", "x_EnergyJoulesUpper", "x_EnergySource"))
    energy = point.energy.joules_per_inference.total
    return {
        "x_EnergyJoules": _scaled(energy.mean, inferences),
        "x_EnergyJoulesLower": _scaled(energy.lower, inferences),
        "x_EnergyJoulesUpper": _scaled(energy.upper, inferences),
        "x_EnergySource": energy.source,
        "x_EstimatedShare": _scaled(point.energy.estimated_share, 1),
    }


def _details(priced: PricedPoint, model: str) -> dict[str, str | float]:
    """Return the properties of the price: the identity of the model, and its input tokens in one pricing unit."""
    document, work = priced.document, priced.work
    workload, engine = document.workload, document.engine
    details: dict[str, str | float | None] = {
        "x_Model": model,
        "x_ModelSha256": workload.model_sha256,
        "x_Precision": workload.precision,
        "x_Engine": f"{engine.name} {engine.version}",
        "x_Workload": workload.name,
        "x_Point": priced.point.name,
    }
    if work.output_tokens:
        scale, cached = _TOKENS_PRICED / work.output_tokens, priced.cached_tokens
        details["x_InputTokens"] = None if work.input_tokens is None else round(work.input_tokens * scale)
        details["x_CachedInputTokens"] = None if cached is None else round(cached * scale)
        if work.input_tokens is not None and cached is not None:
            details["x_UncachedInputTokens"] = round(max(0.0, work.input_tokens - cached) * scale)
    return {name: value for name, value in details.items() if value is not None and value != ""}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _mean(value: Interval | UncertainValue | None) -> float | None:
    return None if value is None else value.mean


def _scaled(value: float | None, factor: float) -> str | None:
    return None if value is None else _decimal(Decimal(value * factor).quantize(_DIGITS, context=_CONTEXT))


def _count(value: float | None, factor: float) -> int | None:
    return None if value is None else round(value * factor)


def _decimal(value: Decimal) -> str:
    """Return a decimal number without an exponent and with a point, as readers infer the type from it."""
    whole, _, part = f"{value:f}".partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"
