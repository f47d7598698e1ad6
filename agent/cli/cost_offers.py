"""The part of `inferometer cost` about offers: its options, the demand that they name, and the answer as a document."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import fail, option_value
from agent.cli.stored_profiles import database_path, reading
from agent.runtime.console import ExitCode

if TYPE_CHECKING:
    from agent.cost.demand import Demand
    from agent.cost.rented import Mix
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Document
    from store.records import ServingHour

DemandText = Annotated[
    str | None,
    typer.Option(
        "--demand",
        metavar="RATE|FILE.csv|measured:NAME",
        help="The demand: requests such as 40/s or 2e6/day, a CSV file of a day, or the load of a server below "
        "[[serving]] in the last 28 days. [default: one machine at the utilization of the tariff]",
    ),
]
RequireTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="LIST",
        help="Requirements of an option: on_premises, region=EU, certification=C5, confidential_share=30%, separated "
        "by commas. The answer has the price of these requirements.",
    ),
]
_MEASURED = "measured:"
_DAYS = 28
_MOST_CSV_BYTES = 4 << 20


def offers_answer(
    document: Document,
    tariff: Tariff,
    demand: Demand | None,
    require_texts: list[str] | None,
    years: int | None = None,
) -> dict[str, Any]:
    """Return the answer about the offers of a tariff as a document; an invalid input ends the command."""
    from agent.cost.demand import DemandError
    from agent.cost.limits import TariffError
    from agent.cost.requirements import parse_requirements
    from agent.profiling.offer_answer import answer
    from agent.profiling.pricing import NoCostError

    required = option_value("--require", ",".join(require_texts or []), lambda text: parse_requirements([text]))
    try:
        return answer(document, tariff, demand, required, years)
    except NoCostError as error:
        fail(str(error))
    except (DemandError, TariffError) as error:
        fail(str(error), ExitCode.USAGE)


def demand_of(context: typer.Context, text: str, mix: Mix) -> Demand:
    """Return the demand of the option `--demand`, in requests of a mix; an invalid one ends the command."""
    from agent.cost.demand import parse_rate

    if text.startswith(_MEASURED):
        return _measured(context, text.removeprefix(_MEASURED), mix)
    if text.lower().endswith(".csv") or os.path.exists(text):  # noqa: PTH110  pathlib raises for a very long text
        return _day(Path(text))
    return option_value("--demand", text, parse_rate)


def _day(path: Path) -> Demand:
    from agent.cost.demand import parse_day
    from agent.runtime.text_input import named, read_bytes

    try:
        content = read_bytes(path, _MOST_CSV_BYTES, "a CSV file of a day")
        return parse_day(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        fail(f"--demand: {named(path)}: it is not UTF-8. Save the file as UTF-8", ExitCode.USAGE)
    except ValueError as error:
        fail(f"--demand: {named(path)}: {error}", ExitCode.USAGE)


def _measured(context: typer.Context, name: str, mix: Mix) -> Demand:
    """Return the demand that a server had, in requests of the profile; the name of its model may follow a slash."""
    server, _, model = name.partition("/")
    now_ns = time.time_ns()
    with reading(context) as reader:
        hours = reader.serving_hours(now_ns - _DAYS * 86_400 * 10**9, now_ns) if reader else ()
    own = [hour for hour in hours if hour.server == server and hour.bins and model in {"", hour.model}]
    if not own:
        names = ", ".join(sorted({f"{hour.server}/{hour.model}" for hour in hours}))
        known = f"the store has {names}" if names else "see docs/production-traffic.md"
        fail(f"--demand: {database_path(context)} has no traffic of {name!r} in the last {_DAYS} days; {known}")
    models = sorted({hour.model for hour in own})
    if len(models) > 1:
        choices = ", ".join(f"{_MEASURED}{server}/{each}" for each in models)
        fail(f"--demand: {server} serves several models; give one of {choices}", ExitCode.USAGE)
    if len({hour.host_id for hour in own}) > 1:
        fail(
            f"--demand: {server} has hours of several hosts in this store; give the sum of them as a CSV file of a day"
        )
    return _of_hours(own, mix)


def _of_hours(hours: list[ServingHour], mix: Mix) -> Demand:
    from dataclasses import replace

    from agent.attribution.load import BIN_SECONDS, parse_histogram
    from agent.cost.demand import DemandError, measured

    by_tokens = bool(mix.output_tokens) and any(hour.output_tokens for hour in hours)
    texts = [hour.tokens_histogram if by_tokens else hour.requests_histogram for hour in hours]
    rows = [{rate: bins for rate, (bins, _) in parse_histogram(text).items()} for text in texts]
    try:
        found = measured(rows, BIN_SECONDS, (mix.output_tokens or 1.0) if by_tokens else 1.0)
    except DemandError as error:
        fail(f"--demand: {hours[0].server}: {error}")
    notes = [f"the demand has {len(hours)} measured hours"]
    if by_tokens:
        notes.append(f"a request of the demand is {mix.output_tokens:.3g} output tokens, as in the profile")
    censored = sum(hour.censored_bins for hour in hours) / sum(hour.bins for hour in hours)
    if censored:
        notes.append(f"in {100 * censored:.2g} % of the time requests waited or failed: the demand was higher")
    return replace(found, notes=(*notes, *found.notes))
