"""`inferometer profile from-serving`: a profile of the production traffic that the service measured."""

from __future__ import annotations

import inspect
import json
import time
from typing import Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import OutputFile, configuration, fail, option_value, writing
from agent.cli.run_options import RunOptions, shared_options
from agent.cli.stores import SkippedRows, opened
from agent.cli.workload_options import take_options
from agent.runtime.console import print_err, print_out, terminal_width

_PRICES = ("tariff", "price_per_kwh", "currency", "capital", "life_years", "pue", "utilization", "as_json")
HELP = """Make a profile of the production traffic of a server.

The server is one below [[serving]]. The hours that the service stored are repeats: latency, rate, energy and cost of a
request of your users, with the share of idle energy. The server must count requests. The profile is printed, or written
as JSON with -o; it is not stored. `inferometer profiles show FILE` reads it.

Example: inferometer profile from-serving chat --since 24h

Example: inferometer profile from-serving chat --since 7d --price-per-kwh 0.25 --currency EUR -o chat.json
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to `inferometer profile`."""
    prices = [each for each in shared_options(runs_engine=False) if each.name in _PRICES]
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(_options, eval_str=True).parameters.values()
    ]
    take_options(profile_traffic, [*own, *prices])
    app.command("from-serving", help=HELP, epilog=SHARED)(profile_traffic)


def _options(
    server: Annotated[str, typer.Argument(metavar="NAME", help="Name of the server in the configuration.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="Start: an age such as 24h or 7d, or a time.")] = "24h",
    output: OutputFile = None,
) -> None:
    """Declare the options of the command."""


def profile_traffic(context: typer.Context, **values: Any) -> None:
    """Make the profile; `values` are those of `_options` and of the prices."""
    options = RunOptions(**{name: values.pop(name) for name in _PRICES})
    tariff = options.prices()
    config = configuration(context)
    from agent.host.inventory import describe_host
    from agent.profiling.document.codec import to_json
    from agent.profiling.production import NoTrafficError, build_production_profile
    from agent.render.profile_text import profile_text
    from agent.render.quantities import moment_ns
    from store.reader import Reader

    now_ns = time.time_ns()
    start_ns = option_value("--since", values["since"], lambda text: moment_ns(text, now_ns))
    host, skipped, name = describe_host(config.roots, config.labels), SkippedRows(), values["server"]
    with opened(context) as engine:
        hours = Reader(engine, skipped.report).serving_hours(start_ns, now_ns)
    own = [hour for hour in hours if hour.host_id == host.id and hour.server == name]
    kind = next((server.kind for server in config.serving if server.name == name), "")
    try:
        text = to_json(build_production_profile(name, own, host, tariff or config.tariff, now_ns, kind))
    except NoTrafficError as error:
        fail(str(error))
    if values["output"] is not None:
        with writing(values["output"]) as stream:
            stream.write(f"{text}\n".encode())
        print_err(f"wrote {values['output']}; show it with: inferometer profiles show {values['output']}")
    else:
        print_out(text if options.as_json else profile_text(json.loads(text), terminal_width()))
    skipped.end()
