"""Claims about a machine from a TOML file: limits of metrics at a load."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.workloads.point import Value

Basis = Literal["usage", "allocation"]
Bound = Literal["at_most", "at_least"]
_BOUNDS: tuple[Bound, Bound] = ("at_most", "at_least")
PERCENTILES = ("p50", "p90", "p95", "p99")
LATENCIES = ("ttft", "tpot", "itl", "e2e")
COSTS = ("cost_per_million_requests", "cost_per_million_output_tokens")
CLAIMED = (
    *(f"{latency}_{percentile}_seconds" for latency in LATENCIES for percentile in PERCENTILES),
    "e2e_mean_seconds",
    "requests_per_second",
    "output_tokens_per_second",
    "joules_per_request",
    "joules_per_output_token",
    "joules_per_input_token",
    "watts_busy",
    "watts_idle",
    "watts_idle_unloaded",
    *COSTS,
)
"""The metrics of claims. A request is an inference of any workload."""
_MOST_CLAIMS = 1000
_KEYS = ("metric", "at_most", "at_least", "point", "basis")


class SpecError(ValueError):
    """A file of claims is invalid; the message names the claim, the key and the fix, but not the file."""


class Claim(msgspec.Struct, frozen=True):
    """One claim: a metric is at most, or at least, its limit at a load.

    `point` has the parameters of the load; empty: the highest sustainable load, or the best measured one. `basis` is
    that of a cost.
    """

    metric: str
    bound: Bound
    limit: float
    point: dict[str, Value]
    basis: Basis = "usage"


class Spec(msgspec.Struct, frozen=True):
    """The claims of one file. `name` is a title, `currency` that of the limits of costs; None if it has none."""

    name: str | None
    currency: str | None
    claims: tuple[Claim, ...]


def read_spec(values: Mapping[str, Any]) -> Spec:
    """Return the claims of keys and values from TOML. Raises SpecError."""
    _known("this file", values, ("name", "currency", "claim"))
    tables = values.get("claim")
    if not isinstance(tables, list) or not tables or len(tables) > _MOST_CLAIMS:
        raise SpecError(f"a file of claims has from 1 to {_MOST_CLAIMS} tables [[claim]]")
    claims = tuple(_claim(number, table) for number, table in enumerate(tables, 1))
    name, currency = (_text(key, values.get(key)) for key in ("name", "currency"))
    if currency is None and any(claim.metric in COSTS for claim in claims):
        raise SpecError('a claim about a cost needs the currency of its limit: add currency = "EUR"')
    return Spec(name, currency, claims)


def _claim(number: int, table: object) -> Claim:
    place = f"claim {number}"
    if not isinstance(table, dict):
        raise SpecError(f"{place} is not a table: write [[claim]] above its keys")
    _known(place, table, _KEYS)
    metric = table.get("metric")
    if metric not in CLAIMED:
        near = get_close_matches(str(metric), CLAIMED, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the metrics are {', '.join(CLAIMED)}"
        raise SpecError(f"{place}: there is no metric {quoted(metric)}: {hint}")
    place = f"{place} ({metric})"
    given = [bound for bound in _BOUNDS if bound in table]
    if len(given) != 1:
        raise SpecError(f"{place}: give one of at_most and at_least")
    basis = table.get("basis", "usage")
    if basis not in {"usage", "allocation"}:
        raise SpecError(f"{place}: basis = {quoted(basis)} is not usage or allocation")
    point = table.get("point", {})
    if not isinstance(point, dict) or not all(isinstance(value, str | int | float) for value in point.values()):
        raise SpecError(f"{place}: point = {quoted(point)} is not a table of parameters such as {{ rate = 8 }}")
    return Claim(str(metric), given[0], _limit(place, given[0], table[given[0]]), point, basis)


def _known(place: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in values:
        if key not in keys:
            raise SpecError(f"{place}: unknown key {quoted(key)}: the keys are {', '.join(keys)}")


def _limit(place: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise SpecError(f"{place}: {key} = {quoted(value)} is not a number from 0 on")
    return float(value)


def _text(key: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise SpecError(f"{key} = {quoted(value)} is not a text")
