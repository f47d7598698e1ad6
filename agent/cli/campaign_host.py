"""`inferometer campaign facts`: the facts of this host that the head of a campaign verifies."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.options import OutputFile, configuration, discovered, fail, writing
from agent.runtime.console import ExitCode, print_out


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `campaign`."""
    app.command()(facts)


def facts(
    context: typer.Context,
    server: Annotated[
        list[str] | None,
        typer.Option("--server", metavar="URL", help="A server that will be measured: its load is not that of others."),
    ] = None,
    output: OutputFile = None,
) -> None:
    """Print the facts of this host as JSON.

    The head of a campaign verifies them. The facts are its id and name, the version, the clock, the devices with a
    readable sensor, the source of its energy, the load of other programs during one second, and the profile that is
    being measured. Campaigns run this command on every host.

    Example: inferometer campaign facts

    Example: inferometer campaign facts --server http://127.0.0.1:8000
    """
    import socket

    from agent.campaigns.host_facts import gather
    from agent.runtime.typed_json import to_json
    from agent.workloads.load.target import origin

    config = configuration(context)
    try:
        servers = [origin(url) for url in server or ()]
    except ValueError as error:
        fail(str(error).replace("--url", "--server"), ExitCode.USAGE)
    with discovered(config) as found:
        text = to_json(gather(config, found, socket.gethostname(), servers), indent=2)
    if output is None:
        print_out(text)
        return
    with writing(output) as stream:
        stream.write(f"{text}\n".encode())
