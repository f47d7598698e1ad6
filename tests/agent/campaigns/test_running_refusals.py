"""The answers of hosts that the head of a run refuses: bundles and facts of another run or machine, or hostile ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.bundles.writing import bundle_bytes
from campaign_files import TWO_HOSTS, answer, bundle_of, facts_of, profile_of
from campaign_heads import RUN, head, verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.campaigns.records import Outcome, Task


def assert_the_first_is_refused(folder: Path, answers: Callable[[Task], Outcome], reason: str) -> None:
    """Measure with two tasks: the first has this reason, and the second is stored."""
    with head(folder, answers) as (own, journal, _, saved, _lines):
        own.measure()
        ended = journal.state.tasks[f"{RUN}-1"].ended
        assert ended is not None
        assert reason in ended.reason
        assert saved == [f"{RUN}-2"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"not a bundle", "its bundle: it is not a bundle"),
        (bundle_of("20260101-000000-0123abcd-2"), f"its bundle is that of {RUN}-2"),
    ],
)
def test_a_bundle_that_was_not_asked_for_is_refused(tmp_path: Path, result: bytes, reason: str) -> None:
    def answers(task: Task) -> Outcome:
        outcome = answer(task)
        return replace(outcome, result=result) if task.uid == f"{RUN}-1" else outcome

    assert_the_first_is_refused(tmp_path, answers, reason)


@pytest.mark.parametrize(
    ("changed", "samples", "reason"),
    [
        (
            {"host": profile_of("x")["host"] | {"id": "f" * 32, "name": "b\x1b[2J"}},
            None,
            "another machine, 'b\\x1b[2J'",
        ),
        ({}, b"PAR1", "its bundle has samples, which nobody requested"),
    ],
)
def test_a_bundle_of_another_machine_or_with_samples_is_refused(
    tmp_path: Path, changed: dict[str, Any], samples: bytes | None, reason: str
) -> None:
    def answers(task: Task) -> Outcome:
        outcome = answer(task)
        if task.uid != f"{RUN}-1":
            return outcome
        content = bundle_bytes({**profile_of(task.uid), **changed}, samples, (1, 2) if samples else None)
        return replace(outcome, result=content)

    assert_the_first_is_refused(tmp_path, answers, reason)


def test_another_machine_under_the_name_of_a_host_is_refused(tmp_path: Path) -> None:
    other = json.dumps(facts_of(id="f" * 32)).encode()
    with head(tmp_path, text=f"repetitions = 2\n{TWO_HOSTS}") as (own, journal, launcher, saved, _):
        verified(journal, "one", "two")
        launcher.answers = lambda task: (
            replace(answer(task), result=other) if task.uid == f"{RUN}-host-0" else answer(task)
        )
        own.measure()
        assert journal.state.hosts["one"].problems[0].startswith("it is another machine than earlier in this run")
        assert saved == [f"{RUN}-3", f"{RUN}-4"]


def test_a_profile_with_the_energy_of_another_host_needs_no_sensor_of_its_own(tmp_path: Path) -> None:
    def answers(task: Task) -> Outcome:
        outcome, other = answer(task), profile_of("x")["host"] | {"id": "f" * 32}
        if task.words[1] == "facts":
            return replace(outcome, result=json.dumps(facts_of(energy=None)).encode())
        return replace(outcome, result=bundle_of(task.uid, host=other))

    text = "require_energy = true\n" + TWO_HOSTS.replace("batch = [1, 8]", 'energy-from = "http://node1:19795"')
    with head(tmp_path, answers, text) as (own, _, _launcher, saved, _lines):
        own.measure()
        assert saved == [f"{RUN}-1", f"{RUN}-2"]


def test_the_facts_of_a_hostile_host_are_a_reason_of_one_short_line(tmp_path: Path) -> None:
    devices = [{"id": f"{n}", "kind": "gpu", "name": f"{n}" + "x" * 200} for n in range(2000)]
    results = {
        "one": facts_of(devices=devices),
        "two": facts_of(schema="x\n\x1b[2Jthree  verified"),
    }

    def answers(task: Task) -> Outcome:
        return answer(task, results[task.host.name])

    text = TWO_HOSTS.replace('name = "one"', 'name = "one"\ndevices = { "H100*" = 8 }')
    with head(tmp_path, answers, text) as (own, journal, _, saved, _lines):
        own.measure()
        [first], [second] = (journal.state.hosts[name].problems for name in ("one", "two"))
        assert first.startswith("it has 0 of 8 devices H100*")
        assert len(first) < 1100
        assert "its facts are not those of" in second
        assert second.isprintable()
        assert saved == []
