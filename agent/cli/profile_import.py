"""`inferometer profile import`: the results of another tool, joined with stored samples."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import configuration, fail, option_value, refuse_foreign_link
from agent.cli.run_options import RunOptions, shared_options
from agent.cli.stores import SkippedRows, opened
from agent.cli.workload_options import take_options
from agent.render.quantities import moment_ns, seconds_of
from agent.runtime.console import ExitCode, print_err, print_out, terminal_width

if TYPE_CHECKING:
    from agent.imports.records import TimeRange

_PRICES = ("tariff", "price_per_kwh", "currency", "capital", "life_years", "pue", "utilization", "as_json")
_LONGEST_OFFSET_SECONDS = 86_400.0
HELP = """Import the results of a load generator.

The profile has the energy of the host at that time, so the service must have recorded it. The tool is recognized by the
content of the files:

- vllm bench serve: the file of --save-result, best with --save-detailed

- GuideLLM: benchmarks.json

- AIPerf: profile_export.jsonl, and profile_export_aiperf.json for its own figures

- inference-perf: the report of each stage (YAML; extra `import`), per_request_lifecycle_metrics.json, and
stage_0_lifecycle_metrics.json for the concurrency

- llama-bench: the output of -o json or -o jsonl

Several results of one tool become one profile: those of the same load are repeats, others are points. The latencies
and rates come from the single requests; the tool's own figures are in the profile too. A result with an uncertain time
has wider bounds of its energy. See docs/import.md for the definitions of each tool.

Example: inferometer profile import benchmarks.json --price-per-kwh 0.25 --currency EUR

Example: inferometer profile import result.json --offset 1.2s --host gpu-server

Example: inferometer profile import bench.json --window 2026-01-31T08:30:00Z/2026-01-31T08:31:00Z
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to `inferometer profile`."""
    prices = [each for each in shared_options(runs_engine=False) if each.name in _PRICES]
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(_options, eval_str=True).parameters.values()
    ]
    take_options(import_results, [*own, *prices])
    app.command("import", help=HELP, epilog=SHARED)(import_results)


def _options(
    files: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="The files that the tool wrote.")],
    host: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Host that served the load, by name or id. [default: this host]"),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time to add to those of the results, such as 1.2s or -1.2s, if the clock of the load generator was "
            "behind that of the host or ahead of it.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="START/END",
            help="Time in which the load ran, for a result without its own: two times (2026-01-31T08:30:00Z) or ages "
            "(10m). The measured part can be shorter; its energy is then less certain.",
        ),
    ] = None,
) -> None:
    """Declare the options of the command."""


def import_results(context: typer.Context, **values: Any) -> None:
    """Import results; `values` are those of `_options` and of the prices."""
    options = RunOptions(**{name: values.pop(name) for name in _PRICES})
    tariff = options.prices()
    offset_seconds = option_value("--offset", values["offset"] or "0s", _signed_seconds)
    window = option_value("--window", values["window"], _window) if values["window"] else None
    for path in values["files"]:
        refuse_foreign_link(path)
    config = configuration(context)
    from agent.host.inventory import describe_host
    from agent.imports.importing import ImportRequest
    from agent.imports.importing import import_results as store_results
    from agent.imports.records import ResultError, UnusableFileError
    from agent.render.profile_text import profile_text
    from agent.runtime.clock import Timebase

    skipped = SkippedRows()
    request = ImportRequest(values["files"], values["host"], round(offset_seconds * 1e9), window, tariff)
    with opened(context) as engine:
        try:
            text = store_results(
                request, engine, describe_host(config.roots, config.labels), Timebase.now(), skipped.report
            )
        except ResultError as error:
            fail(str(error), ExitCode.USAGE if isinstance(error, UnusableFileError) else ExitCode.FAILURE)
    document = json.loads(text)
    print_out(text if options.as_json else profile_text(document, terminal_width()))
    print_err(f"\nStored; show it again with: inferometer profiles show {document['id']}")
    skipped.end()


def _signed_seconds(text: str) -> float:
    """Return the seconds of a length with a sign, up to a day. Raises ValueError."""
    seconds = seconds_of(text.removeprefix("+").removeprefix("-"))
    if seconds > _LONGEST_OFFSET_SECONDS:
        raise ValueError(f"{text} is more than a day; give --window for another time")
    return -seconds if text.startswith("-") else seconds


def _window(text: str) -> TimeRange:
    """Return the two times of `START/END`. Raises ValueError."""
    from agent.imports.records import TimeRange

    start, slash, end = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not a window; write it as START/END, with a time or an age for each")
    now_ns = time.time_ns()
    found = TimeRange(moment_ns(start, now_ns), moment_ns(end, now_ns))
    if found.latest_ns <= found.earliest_ns:
        raise ValueError(f"{text} ends before it starts; swap both times")
    return found
