"""Makes the bytes of a CSV file that a spreadsheet opens without computing any of its texts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from agent.render.csv_cells import neutralized

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def csv_file(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return a line of column names and the rows; None is an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(neutralized, row) for row in rows)
    return stream.getvalue().encode()
