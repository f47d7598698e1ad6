"""The campaign file that a command names, the folder of its runs, and their stored profiles."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, configuration, fail
from agent.cli.stored_profiles import reading
from agent.cli.usage import ClickException, format_usage_error
from agent.runtime.console import ExitCode, print_err, print_json, print_out, printable_line, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.bundles.manifest import Bundle
    from agent.campaigns.campaign import Campaign, WorkloadPlan
    from agent.campaigns.journal import Journal
    from agent.campaigns.result import CampaignResult
    from agent.campaigns.running import Head

JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The campaign file.", show_default=False)]


def read(file: Path) -> Campaign:
    """Return the campaign of a file, whose workloads have known options; an error ends the command."""
    from agent.campaigns.errors import CampaignError
    from agent.campaigns.file import read_campaign

    try:
        campaign = read_campaign(file)
    except CampaignError as error:
        fail(str(error), ExitCode.USAGE)
    for number, workload in enumerate(campaign.workloads, 1):
        if problem := _option_problem(workload):
            fail(f"{file}: workload {number}: {problem}", ExitCode.USAGE)
    return campaign


def _option_problem(workload: WorkloadPlan) -> str:
    """Return the error of a workload's command by the parser of the command line, empty if it is valid."""
    from agent.cli.main import command_line
    from agent.cli.profile import check_values
    from agent.workloads import registry

    profile = typer.main.get_command(command_line("profile")).commands["profile"]  # type: ignore[attr-defined]
    command = profile.commands.get(workload.name)
    if command is None:
        return f"there is no workload {workload.name!r}: `inferometer profile --list` lists them"
    words = [*workload.words[2:], *workload.rest]
    try:
        with command.make_context(f"inferometer profile {workload.name}", words) as context:
            check_values(context, registry.find(workload.name))
    except ClickException as error:
        return format_usage_error(error, command, ())
    except ValueError as error:
        return str(error)
    return ""


def folder_of(context: typer.Context, name: str) -> Path:
    """Return the folder of a campaign's runs, beside the store of this host."""
    from agent.config.paths import state_folder

    folder = state_folder(configuration(context).database)
    if folder is None:
        fail("there is no folder for the state of campaigns: set HOME or XDG_STATE_HOME", ExitCode.USAGE)
    return folder / "campaigns" / name


@contextmanager
def stored_documents(context: typer.Context) -> Iterator[Callable[[str], dict[str, Any] | None]]:
    """Yield the function that returns the stored profile of an id, None if there is none or it cannot be read.

    The profiles of a campaign of thousands of hosts do not fit into memory at once.
    """
    from agent.profiling.document.versions import ProfileError, parse

    with reading(context) as reader:

        def document(uid: str) -> dict[str, Any] | None:
            profile = reader.profile(uid) if reader else None
            try:
                return parse(profile.document) if profile else None
            except ProfileError:
                return None

        yield document


def head_of(campaign: Campaign, journal: Journal, save: Callable[[Bundle], object]) -> Head:
    """Return the head of a run, which prints its progress on standard error."""
    from agent.campaigns.running import Head

    return Head(campaign, journal, save, lambda line: print_err(printable_line(line)))


def print_result(result: CampaignResult, text: Callable[[Any, int], str], *, as_json: bool) -> None:
    """Print the result of a run as JSON, or as the text that `text` makes of it."""
    import msgspec

    document = msgspec.to_builtins(result)
    if as_json:
        print_json(document)
    else:
        print_out(text(document, terminal_width()))


@contextmanager
def failing() -> Iterator[None]:
    """End the command with an error of the campaign, or of the disk of its journal."""
    from agent.campaigns.errors import CampaignError

    try:
        yield
    except CampaignError as error:
        fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(
            f"{error.filename or 'the journal'}: it cannot be written ({error.strerror or error}). Free some space or "
            "check its permissions; `inferometer campaign resume` then continues a run that has begun"
        )
