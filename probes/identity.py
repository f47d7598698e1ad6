"""Makes the name of every probe and the (device, domain, metric) of every channel unique, without dropping any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from probes.model import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.model import Channel, Probe

    Key = tuple[str, str, str, str]


def make_unique(probes: Sequence[Probe]) -> list[Problem]:
    """Number the names and domains that occur twice, in place, and return a note for each.

    The second driver of a quantity counts as part of the first, so no energy is added twice. A second sensor of the
    same driver is an independent sensor.
    """
    names: set[str] = set()
    owners: dict[Key, str] = {}
    problems: list[Problem] = []
    for probe in probes:
        probe.name = _numbered(probe.name, names)
        names.add(probe.name)
        channels = []
        for channel in probe.channels:
            unique = _unique(channel, probe.name, owners)
            if unique is not channel:
                problems.append(_note(channel, unique, probe.name, owners[channel.key]))
            owners[unique.key] = probe.name
            channels.append(unique)
        probe.channels = tuple(channels)
    return problems


def _numbered(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique


def _unique(channel: Channel, probe: str, owners: dict[Key, str]) -> Channel:
    if channel.key not in owners:
        return channel
    domains = {key[1] for key in owners if key[0] == channel.device.id and key[2:] == channel.key[2:]}
    unique = replace(channel, domain=_numbered(channel.domain, domains))
    if _family(probe) == _family(owners[channel.key]):
        return unique
    return replace(unique, contained_in=(channel.place, *channel.contained_in))


def _family(probe: str) -> str:
    return probe.partition("/")[0]


def _note(channel: Channel, unique: Channel, probe: str, owner: str) -> Problem:
    own = channel.path
    again = "two sensors have the same name" if probe == owner else f"{owner} reads it too"
    added = "counted as a part of it" if len(unique.contained_in) > len(channel.contained_in) else "counted apart"
    reason = f"{probe} reads {channel.metric} of {own}, and {again}; this one is listed as {unique.domain}, {added}"
    remedy = "report the output of `inferometer devices --json` if one of them is wrong"
    return Problem(f"{channel.device.id}/{unique.domain}", reason, remedy, is_unreadable=False)
