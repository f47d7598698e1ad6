"""The start of a run: its profiles, in the order in which each host measures them, and later changes of it; pure."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING

from agent.campaigns.events import Begun, PlannedTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.campaigns.campaign import Campaign

_OF_HOST = " of host "


def begun(campaign: Campaign, run: str, at_ns: int) -> Begun:
    """Return the start of a run of a campaign."""
    return Begun(
        run=run,
        at_ns=at_ns,
        version=version("inferometer"),
        hosts=tuple(each.host.name for each in campaign.hosts),
        workloads=tuple(each.label for each in campaign.workloads),
        tasks=tuple(_tasks(campaign, run)),
        settings=_settings(campaign),
    )


def changes(before: Begun, now: Begun) -> tuple[str, ...]:
    """Return the changes of a campaign since a run began, by which its profiles would not be of one kind.

    The rules of the verification, the launcher, addresses and time limits may change: they decide whether a profile is
    measured, and not its figures.
    """
    moved = set(before.hosts) ^ set(now.hosts)
    found = [f"host {name} is not listed any more" for name in before.hosts if name in moved]
    found += [f"host {name} is new" for name in now.hosts if name in moved]
    for number, (old, new) in enumerate(zip_longest(before.workloads, now.workloads, fillvalue="not listed"), 1):
        if old != new:
            found.append(f"workload {number} is {new}, and was {old}")
    if not found and (others := _pairs(before) ^ _pairs(now)):
        found.append(f"the workloads of host {min(others)[0]} are others")
    for name in before.settings | now.settings:
        old, new = before.settings.get(name, "not set"), now.settings.get(name, "not set")
        if old != new and name.rpartition(_OF_HOST)[2] not in moved:
            found.append(f"{name} is {new}, and was {old}")
    return tuple(found)


def _pairs(begun: Begun) -> set[tuple[str, int]]:
    """Return the hosts, each with the number of a workload that it measures."""
    return {(task.host, task.workload) for task in begun.tasks}


def _settings(campaign: Campaign) -> dict[str, str]:
    """Return what the results depend on beside hosts and workloads, by a name for messages."""
    found = {"repetitions": str(campaign.repetitions), "require_energy": str(campaign.rules.require_energy).lower()}
    for each in campaign.hosts:
        for option, value in zip(each.host.options[::2], each.host.options[1::2], strict=True):
            found[f"{option.removeprefix('--')}{_OF_HOST}{each.host.name}"] = value
        if each.tariff:
            digest = hashlib.sha256(each.tariff.encode()).hexdigest()
            found[f"tariff{_OF_HOST}{each.host.name}"] = f"that with the SHA-256 {digest[:16]}"
    return found


def _tasks(campaign: Campaign, run: str) -> Iterator[PlannedTask]:
    """Yield the profiles by host; its workloads take turns, so that a drift of the host affects all of them."""
    number = 0
    for expected in campaign.hosts:
        for repetition in range(1, campaign.repetitions + 1):
            for index, workload in enumerate(campaign.workloads):
                if workload.is_for(expected.host):
                    number += 1
                    yield PlannedTask(f"{run}-{number}", expected.host.name, index, repetition)
