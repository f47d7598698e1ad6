"""Writes samples as CSV, as one JSON document or as Parquet, while they arrive."""

from __future__ import annotations

import csv
import json
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from agent.render.csv_cells import neutralized
from agent.render.quantities import rfc3339
from agent.render.sample_rows import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO, TextIO

COLUMNS = ("time", *Sample._fields)
_ROWS_AT_ONCE = 100_000

_shown = lru_cache(maxsize=4096)(neutralized)  # names come from devices, and the rows often go to a terminal
_time = lru_cache(maxsize=64)(rfc3339)  # all channels of a read have the same time


def write_csv(samples: Iterable[Sample], stream: TextIO) -> int:
    """Write the column names and a line for each sample; return the number of samples."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for sample in samples:
        writer.writerow((_time(sample.time_ns), *[_shown(cell) if isinstance(cell, str) else cell for cell in sample]))
        count += 1
    return count


def write_json(samples: Iterable[Sample], stream: TextIO) -> int:
    """Write one document, `{"samples": [...]}`, with a line for each sample; return the number of samples."""
    stream.write('{"samples": [')
    count = 0
    for sample in samples:
        row = {"time": _time(sample.time_ns), **sample._asdict()}
        stream.write(f"{',' if count else ''}\n{json.dumps(row)}")
        count += 1
    stream.write("\n]}\n")
    return count


def write_parquet(samples: Iterable[Sample], stream: BinaryIO) -> int:
    """Write Parquet with a row group for every hundred thousand samples; return the number of samples.

    Raises ImportError without pyarrow, and OSError.
    """
    import pyarrow as pa  # noqa: PLC0415  an extra
    from pyarrow import parquet  # noqa: PLC0415  same

    schema = parquet_schema()
    count, waiting = 0, iter(samples)
    with parquet.ParquetWriter(_CountingStream(stream), schema, compression="zstd") as writer:
        while rows := list(islice(waiting, _ROWS_AT_ONCE)):
            columns: Any = list(zip(*rows, strict=True))
            table = [pa.array(cells, field.type) for cells, field in zip([columns[0], *columns], schema, strict=True)]
            writer.write_table(pa.table(table, schema=schema))
            count += len(rows)
    return count


def parquet_schema() -> Any:
    """Return the names and types of the columns of Parquet. Raises ImportError without pyarrow."""
    import pyarrow as pa  # noqa: PLC0415  an extra

    word = pa.dictionary(pa.int32(), pa.string())
    kinds = {"time_ns": pa.int64(), "value": pa.float64(), "recording": pa.int64()}
    time = ("time", pa.timestamp("ns", "UTC"))
    return pa.schema([time, *((name, kinds.get(name, word)) for name in Sample._fields)])


class _CountingStream:
    """A stream that counts its bytes, as Parquet needs the position that a pipe lacks."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._written = 0

    def write(self, block: bytes) -> int:
        self._written += len(block)
        return self._stream.write(block)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()


TEXT_WRITERS: Mapping[str, Callable[[Iterable[Sample], TextIO], int]] = {"csv": write_csv, "json": write_json}
"""The text formats, which any stream takes."""
