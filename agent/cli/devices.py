"""`inferometer devices`: the readable sensors of this host, and the others with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP, configuration, discovered
from agent.runtime.console import print_json, print_out

if TYPE_CHECKING:
    from probes.registry import Discovery


FAMILIES_HELP = "List every family of sensors instead: hardware, method, privilege, proofs, and its state here."


def devices(
    context: typer.Context,
    families: Annotated[bool, typer.Option("--families", help=FAMILIES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """List the readable sensors of this host, the unreadable ones with the reason, and the sensors of the total.

    A device has domains, each covered by a sensor: `measured` by hardware or `estimated` by a model. A sensor can cover
    the domains of others, so only the outermost ones are added; they have a `+`. The last lines name the boundary of
    the total and the parts that it does not cover, then each part of the host as measured, contained in a larger meter,
    modeled, or missing. A measurement ignores a sensor that never changes.

    With `--families` the list has all families that Inferometer and other installed packages can read, with or without
    a sensor on this host.

    Example: inferometer devices

    Example: inferometer devices --path.sysfs /host/sys --json

    Example: inferometer devices --families
    """
    with discovered(configuration(context)) as found:
        if families:
            _print_families(found, as_json=as_json)
        else:
            _print_devices(found, as_json=as_json)


def _print_devices(found: Discovery, *, as_json: bool) -> None:
    from agent.host.observation import observe
    from agent.render.device_list import device_text, document

    observed = observe(found.probes)
    if as_json:
        print_json(document(found, observed))
    else:
        print_out(device_text(found, observed))


def _print_families(found: Discovery, *, as_json: bool) -> None:
    from agent.render.family_list import document, family_text
    from probes.registry import known_families

    known = known_families()
    if as_json:
        print_json(document(known, found))
    else:
        print_out(family_text(known, found))
