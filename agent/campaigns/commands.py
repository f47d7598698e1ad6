"""Compiles a campaign to the commands of its hosts; pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from agent.campaigns.records import Task
from agent.profiling.contention import UNFIT_CPU_SHARE
from agent.workloads.load.target import origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.campaigns.campaign import Campaign, ExpectedHost, WorkloadPlan
    from agent.campaigns.records import Host

_FACTS_SECONDS = 300.0


def profile_task(campaign: Campaign, expected: ExpectedHost, workload: WorkloadPlan, uid: str) -> Task:
    """Return the task of one profile."""
    words = [*workload.words, "--id", uid]
    words += ["--require-energy"] if campaign.rules.require_energy else []
    words += ["--force"] if campaign.rules.other_load > UNFIT_CPU_SHARE else []  # the rule of the file counts
    words += ["--tariff", "/dev/stdin"] if expected.tariff else []
    return Task(uid, expected.host, tuple(words), workload.rest, "--bundle", expected.tariff, campaign.timeout_seconds)


def facts_task(campaign: Campaign, host: Host, uid: str) -> Task:
    """Return the task that asks a host for its facts; it names the servers that its profiles measure."""
    urls = [url for workload in campaign.workloads if workload.is_for(host) for url in _servers(workload)]
    words = [f"--server={url}" for url in dict.fromkeys(urls)]
    return Task(uid, host, ("campaign", "facts", *words), (), "-o", "", _FACTS_SECONDS)


def _servers(workload: WorkloadPlan) -> Iterator[str]:
    """Yield the server of a workload if it runs already, without the path of its URL."""
    options = dict(word.partition("=")[::2] for word in workload.words if word.startswith("--"))
    if (url := options.get("--url")) and not options.get("--server-command"):
        with suppress(ValueError):  # the command itself states the fault
            yield origin(url)


def export_task(host: Host, uid: str) -> Task:
    """Return the task that asks a host for the bundle of a profile that it has stored; nothing is measured."""
    return Task(uid, host, ("profiles", "export", uid, "--bundle", "--no-samples"), (), "-o", "", _FACTS_SECONDS)
