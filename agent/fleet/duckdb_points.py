"""The points of profiles as a table of DuckDB, for the queries of an analyst."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, Double, Integer

from agent.fleet.place import ODD, Refused
from agent.runtime.text_input import is_utf8
from store.profile_point import PROFILE_POINT_COLUMNS
from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from store.profile_point import ProfilePoint

TABLE = "points"
_ROWS_AT_ONCE = 10_000
_NO_NETWORK = {"autoinstall_known_extensions": "false"}


def points_table(points: Iterable[ProfilePoint], report: Callable[[Refused], object]) -> Any:
    """Return a connection to a database in memory with the table `points`.

    Its columns are those of `profile_points` in docs/store.md; `report` receives each point that they cannot hold.
    Raises ImportError without the extra `duckdb`.
    """
    import duckdb  # noqa: PLC0415  an extra
    import pyarrow as pa  # noqa: PLC0415  same

    schema = pa.schema([pa.field(name, _type(name)) for name in PROFILE_POINT_COLUMNS])
    connection = duckdb.connect(":memory:", config=_NO_NETWORK)
    connection.register("rows", schema.empty_table())
    connection.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM rows")  # noqa: S608  our own names
    waiting = iter(points)
    while batch := list(islice(waiting, _ROWS_AT_ONCE)):
        for rows in _tables(batch, schema, report):
            connection.register("rows", rows)
            connection.execute(f"INSERT INTO {TABLE} SELECT * FROM rows")  # noqa: S608  our own names
    connection.unregister("rows")
    return connection


def _tables(batch: Sequence[ProfilePoint], schema: Any, report: Callable[[Refused], object]) -> Iterator[Any]:
    """Yield points as tables of Arrow: one, or several without the points that have a value which Arrow refuses."""
    import pyarrow as pa  # noqa: PLC0415  an extra

    try:
        yield pa.Table.from_pylist([asdict(each) for each in batch], schema=schema)
    except (pa.ArrowException, *ODD) as error:
        if len(batch) == 1:
            report(Refused(batch[0].profile_id, f"a column of `{TABLE}` cannot hold it ({error})"))
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            yield from _tables(part, schema, report)


def answer(connection: Any, sql: str) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Return the columns and the rows of a query.

    Raises ValueError with the message of DuckDB, or if there is no statement, or two columns have one name.
    """
    import duckdb  # noqa: PLC0415  an extra

    if not is_utf8(sql):
        raise ValueError("the query is not UTF-8")
    try:
        found = connection.execute(sql)
        if found is None:
            raise ValueError(f"the query has no statement. Give one such as FROM {TABLE}")
        columns = [column[0] for column in found.description or ()]
        if doubled := [name for name, count in Counter(columns).items() if count > 1]:
            raise ValueError(f"several columns have the name {doubled[0]!r}. Name each with AS")
        return columns, found.fetchall()
    except duckdb.Error as error:
        raise ValueError(str(error)) from error
    except OverflowError as error:
        raise ValueError("the answer has a time that is too long to be shown. Cast it: CAST(x AS VARCHAR)") from error


def _type(name: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415  an extra

    kind = profile_points.c[name].type
    if isinstance(kind, Boolean):
        return pa.bool_()
    if isinstance(kind, BigInteger | Integer):
        return pa.int64()
    return pa.float64() if isinstance(kind, Double) else pa.string()
