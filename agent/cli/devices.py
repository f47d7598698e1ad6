"""`inferometer devices`: the readable sensors of this host, and the others with the reason."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.options import JSON_HELP, configuration, discovered
from agent.runtime.console import print_json, print_out


def devices(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """List the readable sensors of this host, the unreadable ones with the reason, and the sensors of the total.

    A device has domains, each covered by a sensor: `measured` by hardware or `estimated` by a model. A sensor can cover
    the domains of others, so only the outermost ones are added; they have a `+`. The last lines name the boundary of
    the total and the parts that it does not cover. A measurement ignores a sensor that never changes.

    Example: inferometer devices

    Example: inferometer devices --path.sysfs /host/sys --json
    """
    from agent.host.observation import observe
    from agent.render.device_list import device_text, document

    with discovered(configuration(context)) as found:
        observed = observe(found.probes)
        if as_json:
            print_json(document(found, observed))
        else:
            print_out(device_text(found, observed))
