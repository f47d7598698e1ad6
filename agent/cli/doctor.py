"""`inferometer doctor`: what stands in the way of good numbers, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP
from agent.runtime.console import print_json, print_out

if TYPE_CHECKING:
    from agent.host.checks import Check


def doctor(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """Check this host and this installation; each check is PASS, WARN or FAIL with what to do.

    Exit code 0: all pass; 1: there are warnings; 2: something failed. Nothing is changed.

    Example: inferometer doctor

    Example: inferometer doctor --json
    """
    from agent.doctor import worst_verdict
    from agent.host.checks import Verdict

    checks = _checks(context)
    verdict = worst_verdict(checks)
    if as_json:
        print_json(
            {
                "verdict": verdict.value,
                "checks": [
                    {"check": c.name, "verdict": c.verdict.value, "found": c.found, "remedy": c.remedy or None}
                    for c in checks
                ],
            }
        )
    else:
        for check in checks:
            print_out(f"{check.verdict.value}  {check.name}: {check.found}")
            if check.remedy:
                print_out(f"      remedy: {check.remedy}")
    raise typer.Exit(list(Verdict).index(verdict))


def _checks(context: typer.Context) -> list[Check]:
    """Run the checks; with a configuration that cannot be used, under the defaults."""
    from agent.config import ConfigError, default_file, resolve_config
    from agent.doctor import run_checks
    from agent.host.checks import Check, Verdict

    name = "configuration"
    try:
        config = resolve_config(context.obj)
    except ConfigError as error:
        remedy = "mend it, and see with `inferometer config check`; the checks below are of the defaults"
        return [
            Check(name, Verdict.FAIL, str(error), remedy),
            *run_checks(resolve_config(context.obj, with_file=False)),
        ]
    path = context.obj.config_file or default_file()
    return [Check(name, Verdict.PASS, f"{path} is in order" if path else "no file; the defaults"), *run_checks(config)]
