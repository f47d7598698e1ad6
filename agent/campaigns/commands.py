"""Compiles a campaign to the commands of its hosts; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.campaigns.records import Task

if TYPE_CHECKING:
    from agent.campaigns.campaign import Campaign, ExpectedHost, WorkloadPlan
    from agent.campaigns.records import Host

_FACTS_SECONDS = 300.0


def profile_task(campaign: Campaign, expected: ExpectedHost, workload: WorkloadPlan, uid: str) -> Task:
    """Return the task of one profile."""
    words = [*workload.words, "--id", uid]
    words += ["--require-energy"] if campaign.rules.require_energy else []
    words += ["--tariff", "/dev/stdin"] if expected.tariff else []
    return Task(uid, expected.host, tuple(words), workload.rest, "--bundle", expected.tariff, campaign.timeout_seconds)


def facts_task(host: Host, uid: str) -> Task:
    """Return the task that asks a host for its facts."""
    return Task(uid, host, ("campaign", "facts"), (), "-o", "", _FACTS_SECONDS)


def export_task(host: Host, uid: str) -> Task:
    """Return the task that asks a host for the bundle of a profile that it has stored; nothing is measured."""
    return Task(uid, host, ("profiles", "export", uid, "--bundle", "--no-samples"), (), "-o", "", _FACTS_SECONDS)
