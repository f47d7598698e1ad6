"""`inferometer samples`: exports stored samples as rows for other programs."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from agent.cli.numbers import choice
from agent.cli.options import OutputFile, fail, option_value, writing
from agent.runtime.console import ExitCode, print_err

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.render.sample_rows import Sample
    from store.reader import Reader
    from store.records import Recording

_SHOWN = 40


class Format(StrEnum):
    """The formats of exported samples."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def samples(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Start: an age (90s, 15m, 1h, 2d) or a time (2026-01-31T08:30:00Z). [default: 1h]"
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="End, in the format of --since; excluded. [default: now]"),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Only the samples of the run of a profile, by its id, its tag or `latest`, at any time."
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only channels whose device/domain/metric matches; can be repeated."),
    ] = None,
    form: Annotated[Format, choice(Format, "Format of the rows.", "--format")] = Format.CSV,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: OutputFile = None,
) -> None:
    """Export stored samples as rows: time, device, domain, metric, source, value, unit and recording.

    `time` is UTC in RFC 3339, `time_ns` is the same as nanoseconds of Unix time. A recording holds the samples of one
    process. Rows are ordered by recording, then by time. In a pattern, * and ? also match a slash. JSON is one document
    with one sample a line, so that it can be read line by line. Parquet needs the extra `parquet` and a file (-o). In
    CSV a text that begins with = + - @ has an apostrophe in front, because a spreadsheet would compute it. A damaged
    row is left out with a warning, and the exit code is then 1.

    Example: inferometer samples --since 10m --channel '*/energy_joules'

    Example: inferometer samples --profile latest -o run.csv

    Example: inferometer samples --since 2d --until 1d --channel 'GPU-*/power_watts' --format parquet -o gpus.parquet
    """
    from agent.cli.stores import SkippedRows, opened
    from agent.render.sample_rows import channels, fits
    from agent.render.sample_rows import samples as found
    from store.reader import Reader

    form = Format.JSON if as_json else form
    run_id = _run_id(context, profile, since, until)
    start_ns, end_ns = (0, 0) if run_id else time_range(since or "1h", until)
    if form is Format.PARQUET:
        _check_parquet(output)
    with opened(context) as engine:
        skipped_rows = SkippedRows()
        reader = Reader(engine, skipped_rows.report)
        if run_id:
            start_ns, end_ns, recordings = _run(reader, run_id)
        else:
            recordings = reader.recordings(start_ns, end_ns - 1)
        patterns = channel or []
        if patterns and recordings:
            known = channels(reader, recordings)
            if not any(fits(path, patterns) for path in known):
                fail(_no_match_message(patterns, known))
        _write(found(reader, recordings, start_ns, end_ns, patterns), form, output)
    skipped_rows.end()


def _run_id(context: typer.Context, profile: str | None, since: str | None, until: str | None) -> str | None:
    """Return the id of the run of a profile; None if no profile is given."""
    from agent.cli.stored_profiles import find

    if profile is None:
        return None
    if since or until:
        fail("--profile: a run has its own time; leave out --since and --until", ExitCode.USAGE)
    return find(context, profile).run_id


def _run(reader: Reader, run_id: str) -> tuple[int, int, tuple[Recording, ...]]:
    """Return the start and the end of a run, and its recording if it has samples."""
    run = reader.run(run_id)
    if run is None or run.ended_ns < run.started_ns:
        return 0, 0, ()
    found = reader.recordings(run.started_ns, run.ended_ns, run.host_id)
    return run.started_ns, run.ended_ns + 1, tuple(each for each in found if each.id == run.recording)


def time_range(since: str, until: str | None) -> tuple[int, int]:
    """Return start and end of a time in Unix nanoseconds; end the command if it is no time before now."""
    from agent.render.quantities import moment_ns

    now_ns = time.time_ns()
    start_ns = option_value("--since", since, lambda text: moment_ns(text, now_ns))
    end_ns = now_ns if until is None else option_value("--until", until, lambda text: moment_ns(text, now_ns))
    if start_ns >= now_ns:
        fail(f"--since: {since} is in the future; give a time before now", ExitCode.USAGE)
    if start_ns >= end_ns:
        fail(f"--since: {since} is not before --until {until or 'now'}; swap them", ExitCode.USAGE)
    return start_ns, end_ns


def _check_parquet(output: Path | None) -> None:
    if output is None:
        fail("Parquet is a binary format: name a file with -o", ExitCode.USAGE)
    try:
        import pyarrow.parquet  # noqa: F401  checked before any sample is read
    except ImportError as error:
        fail(f"Parquet needs the extra `parquet` ({error}): pip install 'inferometer[parquet]'")


def _no_match_message(patterns: list[str], known: tuple[str, ...]) -> str:
    shown = "\n  ".join(known[:_SHOWN])
    more = f"\n  and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"no channel matches {' or '.join(patterns)}; the channels of this time are:\n  {shown}{more}"


def _write(rows: Iterable[Sample], form: Format, output: Path | None) -> None:
    from agent.render.samples import TEXT_WRITERS, write_parquet

    if output is None:
        count = TEXT_WRITERS[form](rows, sys.stdout)
        sys.stdout.flush()
    else:
        with writing(output) as stream:
            count = write_parquet(rows, stream) if form is Format.PARQUET else _as_text(rows, form, stream)
        print_err(f"{count} samples written to {output}")
    if not count:
        print_err("no such sample is stored; `inferometer db status` reports the oldest and the newest")


def _as_text(rows: Iterable[Sample], form: Format, stream: BinaryIO) -> int:
    from agent.render.samples import TEXT_WRITERS

    text = TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
    try:
        return TEXT_WRITERS[form](rows, text)
    finally:
        text.detach()
