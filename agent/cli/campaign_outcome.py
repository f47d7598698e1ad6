"""The outcome of a campaign's run: its result with drift, as a table, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agent.cli.campaign_file import folder_of, print_result, stored_documents
from agent.runtime.console import ExitCode, print_err

if TYPE_CHECKING:
    from agent.campaigns.campaign import Campaign
    from agent.campaigns.events import RunState
    from agent.campaigns.result import CampaignResult


def result_of_run(context: typer.Context, campaign: Campaign, state: RunState, *, running: bool) -> CampaignResult:
    """Return the result of a run with the figures of its stored profiles, and its drift if that is looked for."""
    from agent.campaigns.drift import drift_since
    from agent.campaigns.errors import CampaignError
    from agent.campaigns.journal import accepted_run, read_state
    from agent.campaigns.result import result_of
    from agent.comparison.regression import Drift

    if state.damaged_lines:
        print_err(f"warning: {state.damaged_lines} damaged lines of the journal of run {state.begun.run} are left out")
    folder = folder_of(context, campaign.name)
    accepted, before, drift = None, None, None
    if campaign.drift is not None:
        try:
            accepted = accepted_run(folder)
            before = read_state(folder, accepted) if accepted not in {None, state.begun.run} else None
        except CampaignError as error:
            drift = Drift((), (f"all hosts: the accepted run cannot be read: {error}",))
    with stored_documents(context) as document:
        if before is not None and campaign.drift is not None:
            drift = drift_since(before, state, document, campaign.drift)
        return result_of(campaign.name, state, document, running=running, accepted=accepted, drift=drift)


def print_outcome(result: CampaignResult, campaign: Campaign, *, as_json: bool) -> None:
    """Print the table, and the way to the profiles that are missing."""
    from agent.render.campaign_text import campaign_text

    print_result(result, campaign_text, as_json=as_json)
    missing = sum(each.status != "done" for each in result.profiles)
    if missing and result.status != "running":
        print_err(
            f"{missing} of {len(result.profiles)} profiles are missing: once the reasons above are removed, "
            f"`inferometer campaign resume {campaign.path}` verifies their hosts again and measures them"
        )


def end(result: CampaignResult) -> None:
    """End the command with the exit code of a result."""
    if result.drift is not None and result.drift.regressions:
        raise typer.Exit(int(ExitCode.MISSED))
    if result.has_failures:
        raise typer.Exit(int(ExitCode.FAILURE))
