"""`inferometer fleet query`: SQL over the profiles in a directory of bundles, by DuckDB."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.options import JSON_HELP, fail, fail_with
from agent.runtime.console import ExitCode, print_json, print_out, terminal_width


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Query of DuckDB; the table is `points`.")],
    folder: Annotated[
        Path, typer.Option("--from", metavar="DIRECTORY", help="Directory of bundles, such as a shared mount.")
    ] = Path(),
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help=f"{JSON_HELP} NaN and infinite numbers are null, dates and decimals are texts, blobs are hexadecimal.",
        ),
    ] = False,
) -> None:
    """Query the profiles in a directory of bundles.

    The table `points` has a row for each point of a profile; docs/store.md has its columns. `COPY points TO 'FILE'`
    writes Parquet or CSV for other programs. The extra `duckdb` has the engine. In a database of a fleet, query the
    table profile_points with psql. A file that is no bundle is left out, and the exit code is 1.

    Example: inferometer fleet query "SELECT site, count(DISTINCT host_id) FROM points GROUP BY site" --from /mnt/fleet
    """
    from agent.cli.fleet_views import LeftOut
    from agent.fleet.bundle_points import points_of_bundles
    from agent.fleet.directory import DirectoryPlace
    from agent.fleet.duckdb_points import answer, points_table
    from agent.fleet.errors import FleetError
    from agent.render.tables import table

    left_out = LeftOut()
    try:
        bundles = DirectoryPlace(folder).bundles(0, {})
        connection = points_table(points_of_bundles(bundles, left_out.report), left_out.report)
    except ImportError as error:
        fail(f"queries need the extra `duckdb` ({error}): pip install 'inferometer[duckdb]'", ExitCode.USAGE)
    except FleetError as error:
        fail_with(error)
    try:
        columns, rows = answer(connection, sql)
    except ValueError as error:
        fail(f"SQL: {error}", ExitCode.USAGE)
    finally:
        connection.close()
    if as_json:
        print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])
    else:
        print_out(
            table(columns, [["-" if cell is None else _text(cell) for cell in row] for row in rows], terminal_width())
        )
    left_out.end()


def _plain(cell: Any) -> Any:
    """Return a cell as JSON has it; dates and decimals are texts, blobs are hexadecimal, an infinite number is null."""
    if isinstance(cell, dict):
        return {_text(name): _plain(value) for name, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [_plain(each) for each in cell]
    if isinstance(cell, bytes | bytearray | memoryview):
        return cell.hex()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell if cell is None or isinstance(cell, bool | int | float | str) else str(cell)


def _text(cell: Any) -> str:
    """Return a cell as the table has it: what has parts, truth values and blobs as in JSON."""
    is_whole = not isinstance(cell, bool | dict | list | tuple | bytes | bytearray | memoryview)
    shown = str(cell) if is_whole else _plain(cell)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
