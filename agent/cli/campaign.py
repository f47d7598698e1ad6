"""`inferometer campaign`: the same profiles on many hosts, from one file."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli import campaign_check, campaign_host, campaign_init, campaign_schedule
from agent.cli.campaign_file import FileArgument, JsonOption, failing, folder_of, head_of, read
from agent.cli.campaign_outcome import end, print_outcome, result_of_run
from agent.cli.options import fail
from agent.runtime.console import print_err, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.bundles.manifest import Bundle
    from agent.campaigns.campaign import Campaign
    from agent.campaigns.journal import Journal

ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Also write the machines of the fleet as a page, as `inferometer report --fleet` does.",
    ),
]
_MOST_CHANGES = 5
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run the same profiles on many hosts. docs/campaigns.md explains the file.",
)
campaign_init.add_to(app)
campaign_check.add_to(app)


@app.command()
def run(context: typer.Context, file: FileArgument, report: ReportOption = None, as_json: JsonOption = False) -> None:
    """Measure on all hosts, and print one table.

    Each host is verified, measures one profile after another, and stores it. The launcher brings a copy, which is
    stored here. A host that fails does not delay the others, and is named with the reason. If this command is ended,
    hosts may go on measuring; `inferometer campaign resume` continues, and measures nothing twice.

    With a table [drift] in the file, the profiles are compared with those of the accepted run: the first complete one,
    or that of `inferometer campaign accept`. The exit code is 5 if there is a significant regression, 1 if a profile is
    missing or something cannot be compared, and 0 otherwise.

    Example: inferometer campaign run campaign.toml

    Example: inferometer campaign run campaign.toml --report machines.html
    """
    from agent.campaigns.journal import begin, new_run, newest_run
    from agent.campaigns.planning import begun

    campaign = read(file)
    _check_report(report)
    folder = folder_of(context, campaign.name)
    with failing():
        earlier = newest_run(folder)
        with begin(folder, begun(campaign, new_run(), time.time_ns())) as journal:
            if earlier and not _is_finished(folder, earlier):
                print_err(f"run {earlier} did not finish; this is a new one")
            print_err(f"run {journal.state.begun.run} of {campaign.name}")
            _measure(context, campaign, journal, report, as_json=as_json)


@app.command()
def resume(
    context: typer.Context, file: FileArgument, report: ReportOption = None, as_json: JsonOption = False
) -> None:
    """Continue the newest run.

    Missing profiles are measured, and the table is printed again. Profiles that a host has measured in the meantime are
    fetched, one that it is measuring is waited for, and failed ones are measured again. Hosts, workloads, repetitions
    and tariffs of the file must be those at the start of the run; other keys, such as other_load, may differ.

    Example: inferometer campaign resume campaign.toml
    """
    from agent.campaigns.events import Resumed

    campaign = read(file)
    _check_report(report)
    with failing(), _continued(context, campaign) as journal:
        journal.append(Resumed(time.time_ns()))
        _measure(context, campaign, journal, report, as_json=as_json)


@app.command()
def collect(context: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Fetch profiles that hosts have stored.

    They are those of the newest run that are missing here. Nothing is measured, and the table is printed.

    Example: inferometer campaign collect campaign.toml
    """
    from agent.runtime.signals import interruptible

    campaign = read(file)
    with failing(), _continued(context, campaign) as journal:
        with _saving(context) as save, interruptible():
            head_of(campaign, journal, save).collect()
        result = result_of_run(context, campaign, journal.state, running=False)
    print_outcome(result, campaign, as_json=as_json)
    end(result)


@app.command()
def status(context: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Print the table of the newest run.

    The run may still be running. Nothing is started, and no host is asked. The exit code is that of a run that ends in
    this state: 1 as long as a profile is missing.

    Example: inferometer campaign status campaign.toml
    """
    from agent.campaigns.journal import is_running, read_state

    campaign = read(file)
    with failing():
        folder, newest = _newest(context, campaign)
        result = result_of_run(context, campaign, read_state(folder, newest), running=is_running(folder))
    print_outcome(result, campaign, as_json=as_json)
    end(result)


@app.command()
def accept(context: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Make the newest run the reference of drift.

    Later runs are compared with it; nothing is measured. Use it after an intended change, such as a new driver, once
    its regression is explained.

    Example: inferometer campaign accept campaign.toml
    """
    from agent.campaigns.journal import accept_run, read_state

    campaign = read(file)
    with failing():
        folder, newest = _newest(context, campaign)
        if not read_state(folder, newest).is_complete:
            fail(f"run {newest} is not complete: `inferometer campaign resume {file}` measures what is missing")
        accept_run(folder, newest)
    if as_json:
        print_json({"campaign": campaign.name, "accepted": newest})
    else:
        print_err(f"run {newest} of {campaign.name} is accepted: later runs are compared with it")


def _is_finished(folder: Path, run: str) -> bool:
    """Return whether a run has finished, or its journal is damaged, which is a warning."""
    from agent.campaigns.errors import CampaignError
    from agent.campaigns.journal import read_state

    try:
        return read_state(folder, run).finished
    except CampaignError as error:
        print_err(f"warning: {error}")
        return True


def _check_report(path: Path | None) -> None:
    """End the command, before it measures, if no report can be written."""
    from agent.cli.report import check_report_path

    if path is not None:
        check_report_path(path)


def _measure(
    context: typer.Context, campaign: Campaign, journal: Journal, report: Path | None, *, as_json: bool
) -> None:
    """Measure what is missing, print the table, write the report, and end the command with its exit code."""
    from agent.campaigns.events import Finished
    from agent.campaigns.journal import accept_run, has_accepted
    from agent.runtime.signals import interruptible

    run = journal.state.begun.run
    try:
        with _saving(context) as save, interruptible():
            head_of(campaign, journal, save).measure()
    except KeyboardInterrupt:
        print_err(f"run {run} is interrupted; `inferometer campaign resume {campaign.path}` continues it")
        return
    if all(each.status != "running" for each in journal.state.tasks.values()):
        journal.append(Finished(time.time_ns()))
    if campaign.drift is not None and journal.state.is_complete and not has_accepted(journal.folder.parent):
        accept_run(journal.folder.parent, run)
        print_err(f"run {run} is accepted: later runs are compared with it")
    result = result_of_run(context, campaign, journal.state, running=False)
    print_outcome(result, campaign, as_json=as_json)
    if report is not None:
        from agent.cli.report import write_fleet_report

        write_fleet_report(context, report)
    end(result)


@contextmanager
def _saving(context: typer.Context) -> Iterator[Any]:
    """Yield the function that stores a bundle in the store of this host."""
    from agent.bundles.importing import store_bundle
    from agent.cli.stores import opened

    with opened(context, create=True) as engine:

        def save(bundle: Bundle) -> None:
            store_bundle(bundle, engine)

        yield save


def _newest(context: typer.Context, campaign: Campaign) -> tuple[Path, str]:
    from agent.campaigns.journal import newest_run

    folder = folder_of(context, campaign.name)
    newest = newest_run(folder)
    if newest is None:
        fail(f"{campaign.name} has no run: `inferometer campaign run {campaign.path}` starts one")
    return folder, newest


@contextmanager
def _continued(context: typer.Context, campaign: Campaign) -> Iterator[Journal]:
    """Open the newest run again; end the command if its profiles would not be those that it began with."""
    from agent.campaigns.journal import resume as resume_journal
    from agent.campaigns.planning import begun, changes

    folder, newest = _newest(context, campaign)
    with resume_journal(folder, newest) as journal:
        before = journal.state.begun
        if found := changes(before, begun(campaign, newest, before.at_ns)):
            more = f"; and {len(found) - _MOST_CHANGES} more changes" if len(found) > _MOST_CHANGES else ""
            fail(
                f"{campaign.path} has changed since run {newest} began: {'; '.join(found[:_MOST_CHANGES])}{more}. Undo "
                "that to continue the run, or start a new one with `inferometer campaign run`"
            )
        yield journal


campaign_schedule.add_to(app)
campaign_host.add_to(app)
