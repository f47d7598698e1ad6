"""OpenCost: the price of an hour of a machine, as a row of the CSV file of custom prices.

OpenCost reads it with USE_CSV_PROVIDER=true and CSV_PATH. A node gets the price of the row whose InstanceID equals its
field InstanceIDField. The format: https://opencost.io/docs/configuration/on-prem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.exports.costs import priced_at_capacity
from agent.exports.csv_file import csv_file
from agent.exports.records import Exported, Exporter, ExportError, Fact
from agent.profiling.document.moment import moment_of

if TYPE_CHECKING:
    from agent.exports.costs import PricedPoint
    from agent.exports.records import ExportRequest

_COLUMNS = (
    "EndTimestamp",
    "InstanceID",
    "Region",
    "AssetClass",
    "InstanceIDField",
    "InstanceType",
    "MarketPriceHourly",
    "Version",
)
_DEFAULT_FIELD = "metadata.name"


def _export(request: ExportRequest) -> Exported:
    priced, notes = priced_at_capacity(request.documents)
    rows = [_row(each, request) for each in priced]
    repeated = sorted({row[1] for row in rows if [one[1] for one in rows].count(row[1]) > 1})
    if repeated:
        raise ExportError([f"one price for each node: several of these profiles are of {', '.join(repeated)}"])
    return Exported({"opencost.csv": csv_file(_COLUMNS, rows)}, (*notes, *_currency_note(priced)))


EXPORTER = Exporter(
    name="opencost",
    summary="price of an hour of the machine as CSV, for OpenCost",
    files=_export,
    facts=(
        Fact("instance_id", "name of the node in Kubernetes, by default the name of the host"),
        Fact("instance_id_field", f"field of the node with that name, by default {_DEFAULT_FIELD}"),
        Fact("instance_type", "instance type of the nodes, if those without a row of their own have this price"),
        Fact("region", "region of the node, if its labels name one"),
    ),
)


def _row(priced: PricedPoint, request: ExportRequest) -> tuple[str, ...]:
    document, total = priced.document, priced.cost.per_hour.total
    if total is None:
        raise ExportError([f"{document.id}: the cost of an hour"])
    created = moment_of(document.created)
    return (
        created.strftime("%Y-%m-%d %H:%M:%S UTC"),
        request.text("instance_id") or document.host.name,
        request.text("region") or "",
        "node",
        request.text("instance_id_field") or _DEFAULT_FIELD,
        request.text("instance_type") or "",
        f"{total:.9f}",
        # OpenCost ignores the version, so it says what the number is.
        f"{priced.currency} an hour, {priced.basis} at {100 * priced.cost.utilization:.3g}%, energy {priced.source}",
    )


def _currency_note(priced: list[PricedPoint]) -> tuple[str, ...]:
    names = sorted({each.currency for each in priced})
    if names == ["USD"]:
        return ()
    return (f"the prices are in {', '.join(names)}; OpenCost shows them in its own currency without conversion",)
