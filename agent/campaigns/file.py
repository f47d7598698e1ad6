"""Reads a campaign file: hosts, workloads, repetitions, and what the head verifies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.campaigns.campaign import Campaign, ExpectedHost, Rules, WorkloadPlan
from agent.campaigns.errors import CampaignError
from agent.campaigns.fields import Fields, is_line
from agent.campaigns.launchers.registry import launcher_of
from agent.campaigns.options import workload_words
from agent.campaigns.records import Host
from agent.campaigns.selection import MOST_HOSTS, expanded
from agent.campaigns.trust import read_trusted
from agent.cost.limits import TariffError
from agent.cost.tariff_file import read_tariff
from agent.runtime.text_input import MAX_BYTES, TextInputError, named, parse_toml, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent.campaigns.records import Launcher

MODES = ("quick", "standard", "rigorous")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
CLOCK_SECONDS = 0.8
"""The largest difference of a host's clock from that of the head."""
OTHER_LOAD = 0.2
"""The largest share of a host's CPUs that other programs may use."""
DRIFT_SHARE = 0.05
"""The least change that counts as a regression: rooms and seasons change a machine by less."""
_MOST_REPETITIONS, _MOST_WORKLOADS, _MOST_TASKS = 100, 100, 100_000
_REPETITIONS_FOR_DRIFT = 3
_LABEL = re.compile(r"[a-z_][a-z0-9_]*")
_SCHEDULE = re.compile(r"[A-Za-z0-9 *:,./~-]+")


def read_campaign(path: Path) -> Campaign:
    """Read a campaign file. Raises CampaignError, which begins with the path."""
    content = read_trusted(path, MAX_BYTES)
    try:
        fields = Fields("this file", parse_toml(content), path.absolute().parent)
        campaign = _campaign(path.absolute(), fields)
        fields.end()
    except (TextInputError, CampaignError) as error:
        raise CampaignError(f"{named(path)}: {error}") from error
    return campaign


def _campaign(path: Path, fields: Fields) -> Campaign:
    name = fields.text("name")
    if not NAME.fullmatch(name):
        raise fields.error("name", f"{quoted(name)} is not a name of at most 40 of a-z, 0-9 and - such as nightly")
    launcher = launcher_of(fields.table("launcher"), fields.folder)
    hosts = _hosts(fields, launcher)
    workloads = tuple(_workload(number, table, fields) for number, table in enumerate(_tables(fields, "workload"), 1))
    repetitions = fields.whole("repetitions", 1, 1, _MOST_REPETITIONS)
    tasks = sum(workload.is_for(each.host) for each in hosts for workload in workloads) * repetitions
    if tasks > _MOST_TASKS:
        raise CampaignError(f"{tasks:,} profiles are more than a campaign takes, {_MOST_TASKS:,}: split it")
    for workload in workloads:
        if not any(workload.is_for(each.host) for each in hosts):
            raise CampaignError(f"workload {workload.name}: hosts = {quoted(list(workload.hosts))} selects no host")
    return Campaign(
        name=name,
        path=path,
        launcher=launcher,
        hosts=hosts,
        workloads=workloads,
        repetitions=repetitions,
        timeout_seconds=fields.real("timeout_hours", 24.0, 0.01, 24.0 * 7) * 3600,
        rules=Rules(
            require_energy=fields.flag("require_energy"),
            any_version=fields.flag("any_version"),
            clock_seconds=fields.real("clock_seconds", CLOCK_SECONDS, 0.05, 3600.0),
            other_load=fields.real("other_load", OTHER_LOAD, 0.0, 1.0),
        ),
        drift=_drift(fields, repetitions),
        schedule=_schedule(fields),
    )


def _tables(fields: Fields, key: str) -> tuple[Mapping[str, Any], ...]:
    found = fields.tables(key, _MOST_WORKLOADS if key == "workload" else MOST_HOSTS)
    if not found:
        raise CampaignError(f"there is no {key}: add a table [[{key}]] with its name")
    return found


def _hosts(fields: Fields, launcher: Launcher) -> tuple[ExpectedHost, ...]:
    shared = _tariff(fields, "")
    found: dict[str, ExpectedHost] = {}
    for number, table in enumerate(_tables(fields, "host"), 1):
        for each in _hosts_of(Fields(f"host {number}", table, fields.folder), launcher, shared):
            if each.host.name in found:
                raise CampaignError(f"host {number}: {each.host.name} is listed twice: name each host once")
            found[each.host.name] = each
            if len(found) > MOST_HOSTS:
                raise CampaignError(f"more than {MOST_HOSTS:,} hosts are listed: split the campaign")
    return tuple(found.values())


def _hosts_of(fields: Fields, launcher: Launcher, tariff: str) -> Iterator[ExpectedHost]:
    """Yield the hosts of one table: one, those of a range, or those of a group of the launcher's inventory."""
    name, group = fields.text("name", ""), fields.text("group", "")
    if bool(name) == bool(group):
        raise CampaignError(f"{fields.place}: give one of name and group")
    names = [each for member in launcher.members(group) for each in expanded(member)] if group else expanded(name)
    if not names:
        raise fields.error("group", f"{quoted(group)} has no hosts")
    address, labels = fields.text("address", ""), fields.table("labels")
    if address and len(names) > 1:
        raise fields.error("address", "several hosts cannot have one address: give each a table of its own")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or not is_line(value):
            raise fields.error("labels", f'{key} = {quoted(value)} is not a label such as site = "berlin"')
    devices = fields.table("devices")
    for pattern, count in devices.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 1024:  # noqa: PLR2004
            raise fields.error("devices", f'{quoted(pattern)} = {quoted(count)} is not a number: write "*H100*" = 8')
    options: list[str] = []
    for option in ("database", "config"):
        value = fields.text(option, "")
        options += [f"--{option}", value] if value else []
    program = fields.text("program", "inferometer")
    own = _tariff(fields, tariff)
    fields.end()
    for each in names:
        yield ExpectedHost(Host(each, address or each, program, tuple(options), dict(labels)), dict(devices), own)


def _tariff(fields: Fields, default: str) -> str:
    """Return the text of a tariff file, after a check of it, or the default."""
    content = fields.content("tariff")
    if content is None:
        return default
    try:
        read_tariff(parse_toml(content))
        return content.decode()
    except (TariffError, TextInputError) as error:
        raise fields.error("tariff", str(error)) from error


def _workload(number: int, table: Mapping[str, Any], campaign: Fields) -> WorkloadPlan:
    fields = Fields(f"workload {number}", table, campaign.folder)
    name = fields.text("name")
    mode = fields.choice("mode", campaign.choice("mode", "quick", MODES), MODES)
    words = workload_words(fields, name, mode)
    program = fields.texts("words")
    plan = WorkloadPlan(name, words, ("--", *program) if program else (), fields.texts("hosts"))
    fields.end()
    return plan


def _drift(fields: Fields, repetitions: int) -> float | None:
    table = fields.table("drift")
    if not fields.has("drift"):
        return None
    if repetitions < _REPETITIONS_FOR_DRIFT:
        raise fields.error(
            "drift", f"a difference needs {_REPETITIONS_FOR_DRIFT} runs on each side: set repetitions = 3 or more"
        )
    own = Fields("drift", table)
    share = own.real("share", DRIFT_SHARE, 0.0, 10.0)
    own.end()
    return share


def _schedule(fields: Fields) -> str:
    schedule = fields.text("schedule", "")
    if schedule and not _SCHEDULE.fullmatch(schedule):
        raise fields.error(
            "schedule", f"{quoted(schedule)} is not a calendar event such as Sun 02:00 (systemd.time(7))"
        )
    return schedule
