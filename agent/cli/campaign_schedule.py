"""`inferometer campaign schedule`: the systemd service and timer that run a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.campaign_file import FileArgument, read
from agent.cli.options import JSON_HELP, fail
from agent.runtime.console import ExitCode, print_err, print_json, print_out


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `campaign`."""
    app.command()(schedule)


def schedule(
    context: typer.Context,
    file: FileArgument,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Write both units here, for example to ~/.config/systemd/user. [default: print]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Write the systemd timer of a campaign.

    The timer has the schedule of the file, and starts a service beside it, which ends with the exit code of
    `inferometer campaign run`, so a regression makes it fail, and OnFailure= of a drop-in can send a message. The
    service has the options --config and --database of this command. Nothing is enabled.

    Example: inferometer campaign schedule campaign.toml

    Example: inferometer campaign schedule campaign.toml --folder ~/.config/systemd/user
    """
    from agent.install.campaign_units import calendar_problem, units
    from agent.install.python_env import program
    from agent.runtime.output import output

    campaign = read(file)
    if not campaign.schedule:
        fail(f'{file}: it has no schedule: add schedule = "Sun 02:00", for example (systemd.time(7))', ExitCode.USAGE)
    if problem := calendar_problem(campaign.schedule):
        fail(f"{file}: schedule: {problem}: see systemd.time(7)", ExitCode.USAGE)
    try:
        texts = units(campaign.name, program(), campaign.path, campaign.schedule, _options(context))
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    if folder is None:
        if as_json:
            print_json(dict(texts))
        else:
            print_out("\n".join(f"# {name}\n{text}" for name, text in texts.items()))
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with output(folder / name, 0o644) as stream:
                stream.write(text.encode())
    except OSError as error:
        fail(f"{folder}: the units cannot be written ({error.strerror or error}); choose another --folder")
    written = [str(folder / name) for name in texts]
    print_err(
        f"wrote {' and '.join(written)}; then: systemctl --user enable --now inferometer-campaign-{campaign.name}.timer"
    )
    if as_json:
        print_json({"files": written})


def _options(context: typer.Context) -> dict[str, Path]:
    """Return the options by which the service finds the same runs and profiles as this command."""
    database = context.obj.given.get("database") or context.obj.variables.get("database")
    found = {"--config": context.obj.config_file, "--database": database}
    if "://" in str(found["--database"]):
        fail(
            "--database: a URL can have a password, which units show: set it in a file and give --config",
            ExitCode.USAGE,
        )
    return {option: Path(value).absolute() for option, value in found.items() if value}
