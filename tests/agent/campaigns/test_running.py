"""The head of a run: verification, bundles, and the failures of hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.records import Host, Outcome, Task
from agent.campaigns.running import Head, reason_of
from campaign_files import TWO_HOSTS, answer, bundle_of, campaign_of, facts_of, profile_of
from campaign_heads import RUN, head, verified
from store.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from agent.bundles.manifest import Bundle


def test_every_host_is_verified_and_then_measured_and_its_profiles_are_stored(tmp_path: Path) -> None:
    with head(tmp_path, text=f"repetitions = 2\n{TWO_HOSTS}") as (own, journal, launcher, saved, _):
        own.measure()
        assert [task.words[:2] for task in launcher.ran] == [
            *(("campaign", "facts"), ("profile", "transformer"), ("profile", "transformer")) * 2
        ]
        assert saved == [f"{RUN}-{n}" for n in (1, 2, 3, 4)]
        assert journal.state.is_complete
        assert not list(journal.folder.glob("*.zip"))


def test_a_refused_host_is_not_measured_and_the_other_one_is(tmp_path: Path) -> None:
    def answers(task: Task) -> Outcome:
        return answer(task, facts_of(energy=None) if task.host.name == "one" else None)

    with head(tmp_path, answers, f"require_energy = true\n{TWO_HOSTS}") as (own, journal, launcher, saved, lines):
        own.measure()
        assert [task.host.name for task in launcher.ran] == ["one", "two", "two"]
        assert saved == [f"{RUN}-2"]
        assert journal.state.hosts["one"].problems[0].startswith("nothing on it measures power")
        assert any(line.startswith("one: refused: nothing on it measures power") for line in lines)
        assert journal.state.tasks[f"{RUN}-1"].status == "waiting"


def test_a_point_without_energy_fails_a_campaign_that_requires_it(tmp_path: Path) -> None:
    points = [{**point, "energy": None, "power": None, "cost": None} for point in profile_of("x")["points"]]

    def answers(task: Task) -> Outcome:
        outcome = answer(task)
        return outcome if task.words[1] == "facts" else replace(outcome, result=bundle_of(task.uid, points=points))

    with head(tmp_path, answers, f"require_energy = true\n{TWO_HOSTS}") as (own, journal, _, saved, _lines):
        own.measure()
        assert saved == []
        assert all(
            task.ended and task.ended.reason.startswith("no energy for ") for task in journal.state.tasks.values()
        )


def test_a_host_that_is_lost_on_its_way_may_be_measuring_and_is_asked_again(tmp_path: Path) -> None:
    lost = [True]

    def answers(task: Task) -> Outcome:
        if task.words[0] == "profile" and task.host.name == "one" and lost:
            lost.clear()
            return Outcome(task, None, b"", "client_loop: send disconnect: Broken pipe\n", 1, 2, detached=True)
        return answer(task)

    with head(tmp_path, answers) as (own, journal, launcher, saved, _):
        own.measure()
        assert journal.state.tasks[f"{RUN}-1"].status == "running"
        own.measure()
        assert [task.uid for task in launcher.ran[4:]] == [f"{RUN}-host-0", f"{RUN}-1"]
        assert sorted(saved) == [f"{RUN}-1", f"{RUN}-2"]


def test_a_head_that_dies_before_the_store_stores_the_bundle_when_it_resumes(tmp_path: Path) -> None:
    def full(_bundle: Bundle) -> None:
        raise StoreError("store", "the disk is full", "free some space")

    with head(tmp_path) as (_, journal, launcher, _saved, lines):
        campaign = replace(campaign_of(tmp_path, TWO_HOSTS), launcher=launcher)
        Head(campaign, journal, full, lines.append).measure()
        assert any("is not stored: " in line and "campaign collect" in line for line in lines)
        assert sorted(path.name for path in journal.folder.glob("*.zip")) == [f"{RUN}-1.zip", f"{RUN}-2.zip"]
    journal_file = tmp_path / "runs" / RUN / "journal.jsonl"
    kept = [line for line in journal_file.read_text().splitlines() if '"task"' not in line]
    journal_file.write_text("\n".join(kept) + "\n")  # as if it died between the bundle and the journal
    with head(tmp_path) as (own, journal, launcher, saved, _):
        own.measure()
        assert launcher.ran == []
        assert saved == [f"{RUN}-1", f"{RUN}-2"]
        assert journal.state.is_complete


@pytest.mark.parametrize("content", [None, b"PK damaged"])
def test_a_fetched_bundle_that_is_lost_or_damaged_is_asked_for_again(tmp_path: Path, content: bytes | None) -> None:
    def full(_bundle: Bundle) -> None:
        raise StoreError("store", "the disk is full", "free some space")

    with head(tmp_path) as (_, journal, launcher, _saved, lines):
        campaign = replace(campaign_of(tmp_path, TWO_HOSTS), launcher=launcher)
        Head(campaign, journal, full, lines.append).measure()
        assert [task.status for task in journal.state.tasks.values()] == ["fetched", "fetched"]
        path = journal.bundle(f"{RUN}-1")
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    with head(tmp_path) as (own, journal, launcher, saved, _):
        own.measure()
        assert [task.uid for task in launcher.ran] == [f"{RUN}-host-0", f"{RUN}-1"]
        assert sorted(saved) == [f"{RUN}-1", f"{RUN}-2"]
        assert journal.state.is_complete


def test_collecting_measures_nothing_and_takes_what_hosts_have_stored(tmp_path: Path) -> None:
    def answers(task: Task) -> Outcome:
        assert task.words[:2] == ("profiles", "export")
        if task.host.name == "one":
            return Outcome(task, 1, b"", f"error: no profile '{task.uid}' is stored\n", 1, 2)
        return answer(task)

    with head(tmp_path, answers) as (own, journal, launcher, saved, lines):
        verified(journal, "one", "two")
        own.collect()
        assert [task.command()[-2:] for task in launcher.ran] == [("-o", "/dev/stdout")] * 2
        assert saved == [f"{RUN}-2"]
        assert journal.state.tasks[f"{RUN}-1"].ended is None
        assert lines[0].startswith(f"one: {RUN}-1 is not there: no profile")


def test_nothing_is_collected_from_a_host_that_was_not_verified_or_is_refused(tmp_path: Path) -> None:
    with head(tmp_path) as (own, journal, launcher, saved, lines):
        verified(journal, "two")
        verified(journal, "two", problems=("it is busy",))
        own.collect()
        assert launcher.ran == []
        assert [line.partition(",")[0] for line in lines] == ["one: it is not verified", "two: it is not verified"]
        own.measure()
        assert sorted(saved) == [f"{RUN}-1", f"{RUN}-2"]


def test_a_verified_host_that_did_not_answer_since_is_collected_from(tmp_path: Path) -> None:
    with head(tmp_path) as (own, journal, _, saved, _lines):
        verified(journal, "one")
        verified(journal, "one", facts=None, problems=("ssh: connect to host one: Connection refused",))
        own.collect()
        assert saved == [f"{RUN}-1"]


def test_a_job_that_ran_although_its_host_was_refused_has_no_profile(tmp_path: Path) -> None:
    """A launcher of jobs can cancel the profile of a refused host too late."""
    with head(tmp_path) as (own, journal, launcher, saved, _):
        busy = json.dumps(facts_of(other_load=0.9)).encode()
        launcher.answers = lambda task: replace(answer(task), result=busy) if task.words[1] == "facts" else answer(task)
        launcher.obeys = False
        own.measure()
        assert saved == []
        assert [task.ended and task.ended.reason for task in journal.state.tasks.values()] == ["it is not verified"] * 2


@pytest.mark.parametrize(
    ("code", "errors", "reason"),
    [
        (1, "note\nerror: the model is missing\nRemedy: x\n", "the model is missing"),
        (
            255,
            "ssh: connect to host x port 22: Connection refused\n",
            "ssh: connect to host x port 22: Connection refused",
        ),
        (3, "", "its command ended with code 3"),
        (None, " \n", "it did not answer"),
        (1, "error: a\x1b[2Jb\n", "a\ufffd[2Jb"),
    ],
)
def test_the_reason_is_the_error_that_the_command_printed(code: int | None, errors: str, reason: str) -> None:
    task = Task("u", Host("one", "one"), ("campaign", "facts"))
    assert reason_of(Outcome(task, code, b"", errors)) == reason
