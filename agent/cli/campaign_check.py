"""`inferometer campaign check`: verifies a campaign file and its hosts, or shows the commands of the hosts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.campaign_file import FileArgument, JsonOption, failing, head_of, print_result, read
from agent.runtime.console import ExitCode, print_json, print_out

if TYPE_CHECKING:
    from agent.campaigns.campaign import Campaign


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `campaign`."""
    app.command()(check)


def check(
    file: FileArgument,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Print what the launcher would start on each host, for example its commands, and ask no host.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify the hosts without measuring.

    The file is checked first. Every host is asked for its facts. It is refused if it does not answer, lacks an expected
    device, has another version of Inferometer, a clock that differs by more than 0.8 s, no power sensor although
    require_energy is set, or if other programs use it. The exit code is 1 if a host is refused.

    Example: inferometer campaign check campaign.toml

    Example: inferometer campaign check campaign.toml --show
    """
    from tempfile import TemporaryDirectory

    from agent.campaigns.journal import begin, new_run
    from agent.campaigns.planning import begun
    from agent.campaigns.result import result_of
    from agent.render.campaign_text import check_text

    campaign = read(file)
    if show:
        _print_commands(campaign, as_json=as_json)
        return
    with TemporaryDirectory(prefix="inferometer-") as folder:
        with failing(), begin(Path(folder), begun(campaign, new_run(), time.time_ns())) as journal:
            head_of(campaign, journal, lambda _: None).check()
        result = result_of(campaign.name, journal.state, lambda _: None, running=False)
    print_result(result, check_text, as_json=as_json)
    if any(each.status != "verified" for each in result.hosts):
        raise typer.Exit(int(ExitCode.FAILURE))


def _print_commands(campaign: Campaign, *, as_json: bool) -> None:
    from agent.campaigns.commands import facts_task, profile_task
    from agent.campaigns.planning import begun

    planned = begun(campaign, "RUN", 0)
    hosts = {each.host.name: each for each in campaign.hosts}
    tasks = [facts_task(campaign, each.host, f"RUN-host-{number}") for number, each in enumerate(hosts.values())]
    tasks += [
        profile_task(campaign, hosts[each.host], campaign.workloads[each.workload], each.uid) for each in planned.tasks
    ]
    with failing():
        texts = campaign.launcher.render(tasks)
    if as_json:
        print_json(dict(texts))
    else:
        print_out("\n".join(f"# {name}\n{text}" for name, text in texts.items()))
