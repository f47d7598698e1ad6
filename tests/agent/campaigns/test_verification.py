"""The verification of a host, from its facts and the times of its command."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.campaigns.campaign import Rules
from agent.campaigns.errors import CampaignError
from agent.campaigns.facts import HostFacts, read_facts
from agent.campaigns.verification import ClockBounds, clock_bounds, verify
from campaign_files import facts_of

RULES = Rules(require_energy=True, any_version=False, clock_seconds=0.8, other_load=0.2)
IN_TIME = ClockBounds(-0.1, 0.1)


def host(**changed: Any) -> HostFacts:
    return read_facts(json.dumps(facts_of(**changed)).encode())


def problems(facts: HostFacts, clock: ClockBounds = IN_TIME, rules: Rules = RULES, **devices: int) -> tuple[str, ...]:
    return verify(facts, clock, rules, devices, host().version, {"own-1"}).problems


def test_a_host_that_has_everything_is_verified() -> None:
    assert problems(host(), **{"AMD EPYC*": 1}) == ()
    assert verify(host(), IN_TIME, RULES, {}, host().version, ()).notes == ()


def test_missing_devices_are_named_with_those_that_it_has() -> None:
    [problem] = problems(host(), **{"NVIDIA H100*": 8})
    assert problem == "it has 0 of 8 devices NVIDIA H100*, with a readable sensor: it has 1 x AMD EPYC 9654"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": "0.0.1"}, "it has Inferometer 0.0.1, and the head has"),
        ({"energy": None}, "nothing on it measures power"),
        (
            {"other_load": 0.5},
            "other programs use 50% of its CPUs, and 20% are allowed: stop them (`top` lists them), or raise",
        ),
        ({"gpu_users": ["GPU-1"]}, "other programs use GPU-1"),
        ({"measuring": "other-7"}, "another campaign measures profile other-7"),
    ],
)
def test_each_fault_is_a_reason(changed: dict[str, Any], words: str) -> None:
    [problem] = problems(host(**changed))
    assert words in problem


def test_a_profile_that_an_earlier_head_started_is_no_reason_against_its_host() -> None:
    assert problems(host(measuring="own-1", other_load=0.9, gpu_users=["GPU-1"])) == ()


def test_rules_can_allow_other_versions_and_hosts_without_energy() -> None:
    rules = replace(RULES, any_version=True, require_energy=False)
    assert problems(host(version="0.0.1", energy=None), rules=rules) == ()


@pytest.mark.parametrize("offset", [-60.0, -2.0, -1.1, 0.0, 0.3, 1.1, 2.0, 60.0])
@pytest.mark.parametrize("way", [0.0, 0.2])
def test_the_clock_is_refused_exactly_if_it_is_off_for_certain(offset: float, way: float) -> None:
    """The command takes `way` to the host, 3 s there, and `way` back; the host's clock is `offset` ahead."""
    sent = 1_800_000_000.0
    started, ended = sent + way + offset, sent + way + 3.0 + offset
    facts = host(started_ns=round(started * 1e9), ended_ns=round(ended * 1e9))
    clock = clock_bounds(facts, round(sent * 1e9), round((sent + 2 * way + 3.0) * 1e9))
    assert clock.lower - 1e-6 <= offset <= clock.upper + 1e-6
    found = [problem for problem in problems(facts, clock) if "its clock differs by at least" in problem]
    assert bool(found) == (abs(offset) > 1)


def test_a_slow_answer_leaves_the_clock_unverified_and_a_note_says_so() -> None:
    found = verify(host(), ClockBounds(-0.2, 3.0), RULES, {}, host().version, ())
    assert found.problems == ()
    assert found.notes == ("its clock is verified to 3.0 s only, by the time that its answer took",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        json.dumps(facts_of(name="a\nb")).encode(),
        json.dumps(facts_of(devices=[{"id": "x\x1b[2J", "kind": "gpu", "name": "n"}])).encode(),
        json.dumps(facts_of(started_ns="now")).encode(),
        json.dumps(facts_of(ended_ns=10**400)).encode(),
        json.dumps(facts_of(started_ns=-1)).encode(),
        json.dumps(facts_of(other_load=-1.0)).encode(),
        json.dumps(facts_of(energy="measured\ntwo  verified")).encode(),
        json.dumps(facts_of(boundary="\x1b[2J")).encode(),
        json.dumps(facts_of(gpu_users=["GPU-1"] * 10_001)).encode(),
        json.dumps(facts_of(name="x" * (1 << 20))).encode(),
        json.dumps(facts_of(devices=[{"id": "x", "kind": "gpu", "name": "n"}] * 10_001)).encode(),
    ],
)
def test_facts_that_no_host_prints_are_refused(content: bytes) -> None:
    with pytest.raises(CampaignError):
        read_facts(content)


def test_facts_of_a_later_version_with_more_fields_are_read() -> None:
    assert read_facts(json.dumps(facts_of(rack="r7")).encode()).name == "gpu-server"
