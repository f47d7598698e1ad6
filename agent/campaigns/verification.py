"""Verifies the facts of a host before it measures: devices, version, clock, energy, other programs; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agent.campaigns.campaign import Rules
    from agent.campaigns.facts import DeviceFacts, HostFacts

_SLACK_SECONDS = 0.05
"""The resolution of the start of a process, with the error of a clock that is being adjusted."""


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """The least and the greatest difference of a host's clock from that of the head, in seconds.

    The command was sent before the host's `started_ns`, and its last output came after `ended_ns`, so the difference is
    from ended_ns - received_ns to started_ns - sent_ns.
    """

    lower: float
    upper: float

    @property
    def least(self) -> float:
        """The least difference that is possible, without its sign."""
        return max(0.0, self.lower - _SLACK_SECONDS, -self.upper - _SLACK_SECONDS)

    @property
    def greatest(self) -> float:
        """The greatest difference that is possible, without its sign."""
        return max(abs(self.lower), abs(self.upper))


def clock_bounds(facts: HostFacts, sent_ns: int, received_ns: int) -> ClockBounds:
    """Return the bounds of a host's clock from the times of its command."""
    return ClockBounds((facts.ended_ns - received_ns) / 1e9, (facts.started_ns - sent_ns) / 1e9)


@dataclass(frozen=True, slots=True)
class Verification:
    """The reasons against a host, and notes; each is a sentence without a full stop."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def verify(
    facts: HostFacts,
    clock: ClockBounds,
    rules: Rules,
    devices: Mapping[str, int],
    version: str,
    own: Collection[str],
) -> Verification:
    """Return the verification of a host by the rules of a campaign; `devices` are the expected numbers by pattern.

    `version` is that of the head. `own` are the ids of this campaign's profiles: one that is being measured since an
    earlier head started it is no reason against the host.
    """
    problems = list(_device_problems(facts.devices, devices))
    if facts.version != version and not rules.any_version:
        problems.append(
            f"it has Inferometer {facts.version}, and the head has {version}: install the same, or set any_version"
        )
    if clock.least > rules.clock_seconds:
        problems.append(
            f"its clock differs by at least {clock.least:.1f} s, and {rules.clock_seconds:g} s are allowed: "
            "synchronize it (chrony, systemd-timesyncd)"
        )
    if rules.require_energy and facts.energy is None:
        problems.append("nothing on it measures power: `inferometer doctor` on it names the missing sensors")
    if facts.measuring not in own:
        problems += _activity_problems(facts, rules)
    return Verification(tuple(problems), tuple(_notes(facts, clock, rules)))


def _device_problems(found: Collection[DeviceFacts], expected: Mapping[str, int]) -> Iterator[str]:
    for pattern, count in expected.items():
        matching = [each for each in found if fnmatchcase(each.name, pattern) or fnmatchcase(each.id, pattern)]
        if len(matching) != count:
            names = Counter(each.name or each.id for each in found)
            has = ", ".join(f"{number} x {name}" for name, number in sorted(names.items())) or "no device"
            yield f"it has {len(matching)} of {count} devices {pattern}, with a readable sensor: it has {has}"


def _activity_problems(facts: HostFacts, rules: Rules) -> Iterator[str]:
    if facts.measuring:
        yield f"another campaign measures profile {facts.measuring} on it: wait until it has ended"
    if facts.other_load is not None and facts.other_load > rules.other_load:
        yield (
            f"other programs use {facts.other_load:.0%} of its CPUs, and {rules.other_load:.0%} are allowed: stop "
            "them (`top` lists them), or raise other_load in the campaign file"
        )
    if facts.gpu_users:
        yield f"other programs use {', '.join(facts.gpu_users)}: stop them"


def _notes(facts: HostFacts, clock: ClockBounds, rules: Rules) -> Iterator[str]:
    if clock.least <= rules.clock_seconds < clock.greatest:
        yield f"its clock is verified to {clock.greatest:.1f} s only, by the time that its answer took"
    if facts.other_load is None:
        yield "the load of other programs on it is unknown"
    if facts.energy == "estimated":
        yield "its energy is estimated, not measured"
