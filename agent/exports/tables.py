"""Profiles as a table with one row for each point: CSV, Parquet and Markdown, with the units in the headings."""

from __future__ import annotations

import csv
import re
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.render.csv_cells import neutralized
from agent.render.figures import total_cost
from agent.render.profile_summary import model_name
from agent.render.tables import plain
from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO, TextIO

_Json = dict[str, Any]
Cell = str | float | bool | None

_MARKUP = re.compile(r"([\\`*\[\]|])")


class Column(NamedTuple):
    """A column: its heading with the unit, its type, and the cell of a point of a document.

    `brief` columns are those of a Markdown table.
    """

    heading: str
    kind: type[str | float | bool]
    cell: Callable[[_Json, _Json], Cell]
    brief: bool = False


class Table(NamedTuple):
    """The columns of a table and its rows; a cell is None if the profile does not have the value."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def _at(record: Any, path: str) -> Any:
    """Return the value at a path of names in nested objects, None if a part of the path is missing."""
    for name in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def _of_point(path: str) -> Callable[[_Json, _Json], Cell]:
    return lambda _, point: _cell(_at(point, path))


def _of_document(path: str) -> Callable[[_Json, _Json], Cell]:
    return lambda document, _: _cell(_at(document, path))


def _cell(value: Any) -> Cell:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _cost(basis: str, amount: str) -> Callable[[_Json, _Json], Cell]:
    """Return the cell of a total, which needs the parts of energy and of capital."""

    def cell(_: _Json, point: _Json) -> Cell:
        parts = _at(point, f"cost.{basis}.{amount}")
        if not parts or None in parts.values():
            return None
        total = total_cost(parts)
        return float(total["mean"]) if total else None

    return cell


def _failed(_: _Json, point: _Json) -> Cell:
    return " ".join(check["name"] for check in point["checks"] if check["status"] == "failed")


def _engine(document: _Json, _: _Json) -> Cell:
    return " ".join(filter(None, (document["engine"]["name"], document["engine"]["version"])))


def _errors(_: _Json, point: _Json) -> Cell:
    errors = _at(point, "serving.errors")
    return None if errors is None else float(sum(errors.values()))


def _text(heading: str, path: str, *, brief: bool = False) -> Column:
    return Column(heading, str, _of_document(path), brief)


def _number(heading: str, path: str, *, brief: bool = False) -> Column:
    return Column(heading, float, _of_point(path), brief)


def _bounds(name: str, unit: str, path: str, *, brief: bool = False) -> tuple[Column, ...]:
    """Return the columns of a mean and of its bounds."""
    mean = _number(f"{name} ({unit})", f"{path}.mean", brief=brief)
    return (mean, *(_number(f"{name}_{bound} ({unit})", f"{path}.{bound}") for bound in ("lower", "upper")))


def _latencies(name: str, path: str) -> tuple[Column, ...]:
    return tuple(
        _number(f"{name}_{part} (s)", f"{path}.{part}", brief=part in {"p50", "p99"})
        for part in ("p50", "p90", "p95", "p99", "maximum")
    )


def _costs(basis: str) -> tuple[Column, ...]:
    amounts = ("per_inference", "per_million_output_tokens", "per_million_total_tokens")
    return tuple(
        Column(f"cost_{amount}_{basis} (currency)", float, _cost(basis, amount), amount == "per_million_output_tokens")
        for amount in amounts
    )


_ENERGY = "energy.joules_per_inference"
COLUMNS: tuple[Column, ...] = (
    _text("profile", "id", brief=True),
    _text("created (UTC)", "created"),
    _text("status", "status"),
    _text("host", "host.name"),
    _text("cpu", "host.cpu_model"),
    _text("workload", "workload.name"),
    Column("model", str, lambda document, _: model_name(document["workload"]), brief=True),
    Column("engine", str, _engine),
    _text("precision", "workload.precision"),
    _text("energy_boundary", "coverage.boundary"),
    _text("energy_source", "coverage.source", brief=True),
    Column("point", str, _of_point("name"), brief=True),
    Column("valid", bool, _of_point("valid")),
    Column("failed_checks", str, _failed),
    _number("repeats (1)", "repeats"),
    *_bounds("inferences", "1/s", "inferences_per_second", brief=True),
    _number("input_tokens (1/s)", "input_tokens_per_second.mean"),
    _number("output_tokens (1/s)", "output_tokens_per_second.mean", brief=True),
    _number("input_tokens_per_inference (1)", "input_tokens_per_inference"),
    _number("output_tokens_per_inference (1)", "output_tokens_per_inference"),
    _number("latency_mean (s)", "mean_latency_seconds.mean", brief=True),
    *_latencies("latency", "latency_seconds"),
    _number("time_to_first_token_mean (s)", "time_to_first_token_seconds.mean"),
    *_latencies("time_to_first_token", "time_to_first_token_seconds"),
    _number("inter_token_latency_mean (s)", "inter_token_latency_seconds.mean"),
    *_latencies("inter_token_latency", "inter_token_latency_seconds"),
    _number("requests (1)", "serving.requests"),
    Column("errors (1)", float, _errors),
    _number("goodput (1/s)", "serving.goodput.requests_per_second"),
    _number("attainment (ratio)", "serving.goodput.attained"),
    *_bounds("energy_per_inference", "J", f"{_ENERGY}.total", brief=True),
    _number("idle_energy_per_inference (J)", f"{_ENERGY}.idle.mean"),
    _number("dynamic_energy_per_inference (J)", f"{_ENERGY}.dynamic.mean"),
    *_bounds("energy_per_input_token", "J", "energy.joules_per_input_token"),
    *_bounds("energy_per_output_token", "J", "energy.joules_per_output_token", brief=True),
    *_bounds("energy_per_total_token", "J", "energy.joules_per_total_token"),
    _number("estimated_share (ratio)", "energy.estimated_share"),
    *_bounds("power", "W", "power.mean_watts", brief=True),
    _number("peak_power (W)", "power.peak_watts"),
    Column("currency", str, _of_point("cost.currency"), brief=True),
    _number("utilization (ratio)", "cost.allocation.utilization"),
    *_costs("usage"),
    *_costs("allocation"),
    _number("carbon_per_inference (g)", "cost.carbon_grams_per_inference.mean"),
    _number("model_size (B)", "model.model_bytes", brief=True),
    _number("model_load (s)", "model.load_seconds"),
    _number("model_load_energy (J)", "model.load_joules.mean"),
    _number("cosine_similarity (ratio)", "model.agreement.cosine_similarity", brief=True),
    _number("top1_agreement (ratio)", "model.agreement.top1_agreement", brief=True),
)


def points_table(documents: Sequence[_Json]) -> Table:
    """Return the table of the points of profile documents, with a column for each swept parameter."""
    points = [(document, point) for document in documents for point in document["points"]]
    names = dict.fromkeys(name for _, point in points for name in point["parameters"])
    swept = tuple(_parameter(name, [point["parameters"].get(name) for _, point in points]) for name in names)
    columns = (*COLUMNS, *swept)
    return Table(columns, tuple(tuple(column.cell(*each) for column in columns) for each in points))


def _parameter(name: str, values: Sequence[Cell]) -> Column:
    """Return the column of a swept parameter: numbers, or texts if a value is another one."""
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    if numbers:
        return Column(f"parameter {name}", float, lambda _, point: _cell(point["parameters"].get(name)))

    def cell(_: _Json, point: _Json) -> Cell:
        value = point["parameters"].get(name)
        return None if value is None else str(value)

    return Column(f"parameter {name}", str, cell)


def write_csv(table: Table, stream: TextIO) -> None:
    """Write the table as CSV (RFC 4180); a missing value is an empty cell."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([neutralized(column.heading) for column in table.columns])
    writer.writerows(list(map(neutralized, row)) for row in table.rows)


def write_markdown(table: Table, stream: TextIO) -> None:
    """Write the main columns that have a value as a table of Markdown."""
    shown = [
        index
        for index, column in enumerate(table.columns)
        if (column.brief or column not in COLUMNS) and any(row[index] not in {None, ""} for row in table.rows)
    ]
    stream.writelines(f"| {' | '.join(cells)} |\n" for cells in _markdown_lines(table, shown))


def _markdown_lines(table: Table, shown: Sequence[int]) -> Iterator[list[str]]:
    columns = [table.columns[index] for index in shown]
    yield [escaped(column.heading) for column in columns]
    yield ["---:" if column.kind is float else "---" for column in columns]
    for row in table.rows:
        yield [_shown(row[index]) for index in shown]


def _shown(cell: Cell) -> str:
    return escaped(cell) if isinstance(cell, str) else plain(cell)


def escaped(text: str) -> str:
    """Return a text without the characters that mean something in Markdown or HTML."""
    return escape(_MARKUP.sub(r"\\\1", printable_line(text)), quote=False)


def write_parquet(table: Table, stream: BinaryIO) -> None:
    """Write the table as Parquet. Raises ImportError without pyarrow, and OSError."""
    import pyarrow as pa  # noqa: PLC0415  an extra
    from pyarrow import parquet  # noqa: PLC0415  same

    types: Mapping[type, Any] = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    fields = [pa.field(column.heading, types[column.kind]) for column in table.columns]
    columns = [pa.array(list(cells), field.type) for cells, field in zip(_turned(table), fields, strict=True)]
    parquet.write_table(pa.table(columns, schema=pa.schema(fields)), stream, compression="zstd")


def _turned(table: Table) -> list[tuple[Cell, ...]]:
    return list(zip(*table.rows, strict=True)) if table.rows else [() for _ in table.columns]


TEXT_WRITERS: Mapping[str, Callable[[Table, TextIO], None]] = {"csv": write_csv, "md": write_markdown}
"""The text formats, which any stream takes."""
