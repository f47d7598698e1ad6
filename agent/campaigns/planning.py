"""The start of a run: its profiles, in the order in which each host measures them; pure."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from agent.campaigns.events import Begun, PlannedTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.campaigns.campaign import Campaign


def begun(campaign: Campaign, run: str, at_ns: int) -> Begun:
    """Return the start of a run of a campaign."""
    return Begun(
        run=run,
        at_ns=at_ns,
        sha256=campaign.sha256,
        version=version("inferometer"),
        hosts=tuple(each.host.name for each in campaign.hosts),
        workloads=tuple(each.label for each in campaign.workloads),
        tasks=tuple(_tasks(campaign, run)),
    )


def _tasks(campaign: Campaign, run: str) -> Iterator[PlannedTask]:
    """Yield the profiles by host; its workloads take turns, so that a drift of the host affects all of them."""
    number = 0
    for expected in campaign.hosts:
        for repetition in range(1, campaign.repetitions + 1):
            for index, workload in enumerate(campaign.workloads):
                if workload.is_for(expected.host):
                    number += 1
                    yield PlannedTask(f"{run}-{number}", expected.host.name, index, repetition)
