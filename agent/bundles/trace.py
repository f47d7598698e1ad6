"""The samples of a run as Parquet: written from the store, and read back within limits."""

from __future__ import annotations

import math
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from agent.bundles.manifest import SAMPLES, BundleError
from agent.render.sample_rows import Sample
from agent.render.sample_rows import samples as stored_samples
from agent.render.samples import parquet_schema, write_parquet
from agent.runtime.text_input import quoted
from probes.model import METRICS, Source, unit_of
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from store.reader import Reader

_Part = TypeVar("_Part")
MAX_ROWS = 50_000_000
"""The samples of 14 hours of 1 kHz: more than a bundle takes."""
MAX_CHANNELS = 10_000
_MAX_GROUP_ROWS = 1 << 20
_MAX_GROUP_BYTES = 256 << 20
"""The largest decompressed size of a row group, as the file states it."""
_MAX_FOOTER_STRING, _MAX_FOOTER_ITEMS = 1 << 20, 1 << 20
_BATCH_ROWS = 1 << 16
_FIRST_COLUMN = 1
"""The position of `time_ns`, after `time`, which repeats it for people."""


def samples_of_run(reader: Reader, run_id: str) -> tuple[Iterator[Sample], tuple[int, int]] | None:
    """Return the samples of a stored run with its start and end, None if no sample is stored.

    Raises StoreError while the samples are read.
    """
    run = reader.run(run_id)
    if run is None or run.ended_ns <= run.started_ns:
        return None
    recordings = reader.recordings(run.started_ns, run.ended_ns, run.host_id)
    own = [recording for recording in recordings if recording.id == run.recording]
    if not own:
        return None
    found = stored_samples(reader, own, run.started_ns, run.ended_ns + 1)
    return (sample._replace(recording=1) for sample in found), (run.started_ns, run.ended_ns)


def as_parquet(samples: Iterable[Sample]) -> bytes:
    """Return samples as Parquet. Raises ImportError without pyarrow, and BundleError for too many samples."""
    stream = BytesIO()
    write_parquet(_limited(samples), stream)
    return stream.getvalue()


def _limited(parts: Iterable[_Part], rows: Callable[[_Part], int] = lambda _: 1) -> Iterator[_Part]:
    """Yield parts until their rows exceed the limit, and then raise BundleError."""
    count = 0
    for part in parts:
        count += rows(part)
        if count > MAX_ROWS:
            raise BundleError(f"the run has more than {MAX_ROWS:,} samples: leave them out with --no-samples")
        yield part


def read_samples(content: bytes) -> Iterator[Sample]:
    """Yield the samples of a bundle, whose number and size are checked before any is decoded.

    Raises BundleError for a file that is damaged, beyond a limit or of another layout, and ImportError without pyarrow.
    """
    import pyarrow as pa  # noqa: PLC0415  an extra
    from pyarrow import parquet  # noqa: PLC0415  same

    try:
        file = parquet.ParquetFile(
            pa.BufferReader(content),
            thrift_string_size_limit=_MAX_FOOTER_STRING,
            thrift_container_size_limit=_MAX_FOOTER_ITEMS,
        )
        _check_layout(file)
        for batch in _limited(file.iter_batches(_BATCH_ROWS), lambda batch: batch.num_rows):
            columns = [_cells(column) for column in batch.columns[_FIRST_COLUMN:]]
            yield from map(_checked, zip(*columns, strict=True))
    except BundleError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BundleError(f"{SAMPLES}: it is damaged ({one_line(str(error))}): copy the bundle again") from error


def _check_layout(file: Any) -> None:
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if metadata.num_rows > MAX_ROWS or any(group.num_rows > _MAX_GROUP_ROWS for group in groups):
        raise BundleError(f"{SAMPLES}: it has more than {MAX_ROWS:,} rows, or {_MAX_GROUP_ROWS:,} in a row group")
    if any(group.total_byte_size > _MAX_GROUP_BYTES for group in groups):
        raise BundleError(f"{SAMPLES}: a row group has more than {_MAX_GROUP_BYTES >> 20} MiB")
    if not file.schema_arrow.equals(parquet_schema(), check_metadata=False):
        raise BundleError(f"{SAMPLES}: its columns are not those of `inferometer samples --format parquet`")


def _cells(column: Any) -> list[Any]:
    """Return the values of a column, read from its buffer, which is ten times faster than as objects of Arrow.

    Raises BundleError for a missing value, and ArrowInvalid for an index that is not in the dictionary.
    """
    if column.null_count:
        raise BundleError(f"{SAMPLES}: a value is missing")
    column.validate(full=True)
    words = getattr(column, "dictionary", None)
    if words is not None:
        texts = words.to_pylist()
        return [texts[index] for index in _cells(column.indices)]
    code = {"int32": "i", "int64": "q", "double": "d"}[str(column.type)]
    view: Any = memoryview(column.buffers()[1] or b"")
    return list(view.cast(code)[column.offset : column.offset + len(column)])


def _checked(cells: tuple[Any, ...]) -> Sample:
    sample = Sample._make(cells)
    if not math.isfinite(sample.value):
        raise BundleError(f"{SAMPLES}: {quoted(cells)} is not a sample: its value is not finite")
    _check_names(*sample[1:5], sample.unit)
    return sample


@lru_cache(maxsize=MAX_CHANNELS)
def _check_names(device: str | None, domain: str | None, metric: str | None, source: str | None, unit: str) -> None:
    texts = (device, domain)
    known = metric in METRICS and source in set(Source) and unit == unit_of(metric or "")
    if not known or any(text is None or one_line(text) != text for text in texts):
        names = quoted((device, domain, metric, source, unit))
        raise BundleError(f"{SAMPLES}: {names} is not a sample: its metric is unknown, or its names are not one line")
