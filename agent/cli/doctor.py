"""`inferometer doctor`: what stands in the way of good numbers, each with its remedy."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.options import JSON_HELP, answer, answer_json, configuration


def doctor(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """Check this host and this installation; each check is PASS, WARN or FAIL with what to do.

    Exit code 0: all pass; 1: there are warnings; 2: something failed.

    Example: inferometer doctor
    """
    from agent.checkup import Verdict, check_up

    checks = check_up(configuration(context))
    worst = max((check.verdict for check in checks), key=list(Verdict).index)
    if as_json:
        answer_json(
            {
                "verdict": worst.value,
                "checks": [
                    {"check": c.name, "verdict": c.verdict.value, "found": c.found, "remedy": c.remedy or None}
                    for c in checks
                ],
            }
        )
    else:
        for check in checks:
            answer(f"{check.verdict.value}  {check.name}: {check.found}")
            if check.remedy:
                answer(f"      remedy: {check.remedy}")
    raise typer.Exit(list(Verdict).index(worst))
