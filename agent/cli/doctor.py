"""`inferometer doctor`: checks of the host and the installation, each with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP, fail
from agent.runtime.console import ExitCode, print_json, print_out

if TYPE_CHECKING:
    from agent.host.checks import Check


def doctor(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """Check the host and the installation. Each check is PASS, WARN or FAIL, with a remedy.

    The exit code is 0 if all checks pass, 1 if there are warnings and 2 if a check fails. Nothing is changed.

    Example: inferometer doctor

    Example: inferometer doctor --json
    """
    from agent.doctor import worst_verdict
    from agent.host.checks import Verdict
    from agent.render.doctor_text import doctor_text, document

    checks = _checks(context)
    verdict = worst_verdict(checks)
    if as_json:
        print_json(document(checks, verdict))
    else:
        print_out(doctor_text(checks))
    raise typer.Exit(list(Verdict).index(verdict))


def _checks(context: typer.Context) -> list[Check]:
    """Run the checks, without the file if it is not valid; end the command if an option is not valid."""
    from agent.config import ConfigError, default_file, resolve_config
    from agent.doctor import run_checks
    from agent.host.checks import Check, Verdict

    name = "configuration"
    try:
        config = resolve_config(context.obj)
    except ConfigError as error:
        remedy = "correct it, then run `inferometer config check`; the checks below use the defaults"
        try:
            fallback = resolve_config(context.obj, with_file=False)
        except ConfigError as wrong_option:
            fail(str(wrong_option), ExitCode.USAGE)
        return [Check(name, Verdict.FAIL, str(error), remedy), *run_checks(fallback)]
    path = context.obj.config_file or default_file()
    return [
        Check(name, Verdict.PASS, f"{path} is valid" if path else "no file; the defaults are used"),
        *run_checks(config),
    ]
