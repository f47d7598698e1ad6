"""`inferometer serving`: the energy of production traffic, now and by hour."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import JSON_HELP, configuration, fail, option_value
from agent.cli.stores import SkippedRows, opened
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from store.records import ServingHour

app = typer.Typer(no_args_is_help=True, help="Show the energy of production traffic.")
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_SECONDS = 5.0
_MOST_BYTES = 4 << 20
_RECENT = "1h"
_PAGE = "docs/production-traffic.md"


@app.callback()
def group() -> None:
    """Show the energy of production traffic: the servers below [[serving]] that the service measures."""


@app.command(epilog=SHARED)
def status(context: typer.Context, as_json: _Json = False) -> None:
    """Show the servers that the service measures now.

    Each has its joules per token, cost and load. The figures are those of the service at `exporter.listen`, or at
    `exporter.socket` if `exporter.web_config` is set; the load is that of the last hour in the store.

    Example: inferometer serving status

    Example: inferometer serving status --json
    """
    from agent.install.systemd import reachable_address
    from agent.render.serving import status_document, status_text
    from agent.runtime.http_get import HttpError, get

    config = configuration(context)
    if not config.serving:
        fail(f"no server is configured; add a table [[serving]] to the configuration, see {_PAGE}", ExitCode.USAGE)
    if config.web_config and not config.socket:
        fail(
            "exporter.web_config closes the exporter to this command; set exporter.socket as well, and run the command "
            "as a member of its group",
            ExitCode.USAGE,
        )
    url = f"http://{reachable_address(config.listen)}/metrics"
    try:
        answer = get(url, _SECONDS, _MOST_BYTES, unix_socket=config.socket if config.web_config else "")
    except HttpError as error:
        fail(f"the service does not answer at {url} ({error}); start it with `inferometer daemon` or systemctl")
    if answer.status != 200:  # noqa: PLR2004 -- OK
        fail(f"{url} answers with status {answer.status}: {answer.body[:200].decode(errors='replace').strip()}")
    shown = status_document(answer.body.decode(errors="replace"), _hours(context, _RECENT))
    if as_json:
        print_json(shown)
    elif shown["servers"]:
        print_out(status_text(shown))
    else:
        fail("the service measures no server; reload it after a change of the configuration")


@app.command(epilog=SHARED)
def history(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="Start: an age such as 24h or 7d, or a time.")] = "7d",
    server: Annotated[str | None, typer.Option(metavar="NAME", help="Only the server with this name.")] = None,
    as_json: _Json = False,
) -> None:
    """Show the hours of each server and model.

    An hour has its traffic, energy and load. Rates are those of bins of ten seconds. In censored bins requests waited,
    or errors rose.

    Example: inferometer serving history --since 7d

    Example: inferometer serving history --since 24h --server chat --json
    """
    from agent.render.serving import history_document, history_text

    hours = tuple(hour for hour in _hours(context, since) if server in {None, hour.server})
    shown = history_document(hours)
    if as_json:
        print_json(shown)
    elif hours:
        print_out(history_text(shown))
    else:
        print_err(
            f"no traffic is stored since {since}; `inferometer serving status` shows whether servers are measured"
        )


def _hours(context: typer.Context, since: str) -> tuple[ServingHour, ...]:
    from agent.render.quantities import moment_ns
    from store.reader import Reader

    now_ns = time.time_ns()
    start_ns = option_value("--since", since, lambda text: moment_ns(text, now_ns))
    skipped = SkippedRows()
    with opened(context) as engine:
        return Reader(engine, skipped.report).serving_hours(start_ns, now_ns)
