"""Results that jobs leave in a folder: their order, their limits and their times."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import result_folder
from agent.campaigns.launchers.result_folder import ResultFolder, check_uids
from agent.campaigns.records import Host, Task

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host("n1", "n1")
FACTS, PROFILE = Task("facts", HOST, ("facts",)), Task("profile", HOST, ("profile",))


def opened(folder: Path, *tasks: Task, submitted_ns: int = 5) -> ResultFolder:
    return ResultFolder(folder, tasks or (FACTS, PROFILE), lambda task: task.uid, lambda _: submitted_ns)


def ended(folder: Path, uid: str, code: str = "0\n", result: bytes = b"") -> None:
    (folder / f"{uid}.begun").touch()
    (folder / f"{uid}.result").write_bytes(result)
    (folder / f"{uid}.code").write_text(code)


def test_a_task_has_no_outcome_before_those_in_front_of_it(tmp_path: Path) -> None:
    results = opened(tmp_path)
    ended(tmp_path, "profile", result=b"p")
    assert list(results.poll()) == []
    ended(tmp_path, "facts", result=b"f")
    assert [outcome.result for outcome in results.poll()] == [b"f", b"p"]
    assert results.hosts == ()


def test_files_stay_until_the_host_has_all_outcomes(tmp_path: Path) -> None:
    results = opened(tmp_path)
    ended(tmp_path, "facts")
    assert len(list(results.poll())) == 1
    assert (tmp_path / "facts.code").exists()
    ended(tmp_path, "profile")
    assert len(list(results.poll())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_head_that_stops_before_it_stored_an_outcome_leaves_the_files(tmp_path: Path) -> None:
    ended(tmp_path, "facts")
    ended(tmp_path, "profile")
    outcomes = opened(tmp_path).poll()
    next(outcomes)
    next(outcomes)
    outcomes.close()
    assert (tmp_path / "profile.code").exists()


def test_a_command_that_began_unseen_ran_after_its_submission(tmp_path: Path) -> None:
    ended(tmp_path, "facts")
    (outcome,) = opened(tmp_path, FACTS).poll()
    assert outcome.sent_ns == 5
    assert outcome.received_ns <= time.time_ns()


def test_a_command_that_has_not_begun_runs_after_the_listing(tmp_path: Path) -> None:
    results = opened(tmp_path, FACTS)
    before_ns = time.time_ns()
    assert list(results.poll()) == []
    after_ns = time.time_ns()
    ended(tmp_path, "facts")
    (outcome,) = results.poll()
    assert before_ns <= outcome.sent_ns <= after_ns <= outcome.received_ns


def test_a_shared_folder_that_shows_files_late_narrows_no_bound(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, [FACTS, PROFILE], lambda task: task.uid, lambda _: 5, shared=True)
    assert results.first_hosts == ("n1",)
    assert list(results.poll()) == []  # the command may have begun: its file is not shown yet
    ended(tmp_path, "facts")
    (outcome,) = results.poll()
    assert outcome.sent_ns == 5
    assert results.first_hosts == ()


@pytest.mark.parametrize(
    ("text", "sent_ns"), [("1234\n", 1234), ("4\n", 5), ("", 5), ("9" * 20, 5), ("x", 5), ("\u0663", 5)]
)
def test_a_command_ran_after_the_time_of_the_head_that_its_host_read(text: str, sent_ns: int, tmp_path: Path) -> None:
    ended(tmp_path, "facts")
    (tmp_path / "facts.begun").write_text(text)
    results = ResultFolder(tmp_path, [FACTS], lambda task: task.uid, lambda _: 5, shared=True)
    (outcome,) = results.poll()
    assert outcome.sent_ns == sent_ns


def test_a_dropped_host_has_no_further_outcome(tmp_path: Path) -> None:
    results = opened(tmp_path)
    ended(tmp_path, "facts")
    ended(tmp_path, "profile")
    found = []
    for outcome in results.poll():
        found.append(outcome.task.uid)
        results.drop("n1")
    assert found == ["facts"]
    assert results.hosts == ()


def test_a_lost_host_has_an_outcome_for_each_task(tmp_path: Path) -> None:
    results = opened(tmp_path)
    (tmp_path / "facts.begun").touch()
    outcomes = list(results.lost("n1", "power cut", detached=True))
    assert [(each.task.uid, each.code, each.errors, each.detached) for each in outcomes] == [
        ("facts", None, "power cut", True),
        ("profile", None, "power cut", False),
    ]


@pytest.mark.parametrize(("text", "code"), [("7\n", 7), ("", None), ("-1", None), ("\xff", None), ("text", None)])
def test_a_code_that_is_no_number_is_none(tmp_path: Path, text: str, code: int | None) -> None:
    ended(tmp_path, "facts", text)
    (outcome,) = opened(tmp_path, FACTS).poll()
    assert outcome.code == code


def test_a_result_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_folder, "MOST_RESULT_BYTES", 1 << 20)
    ended(tmp_path, "facts", result=b"x" * ((1 << 20) + 1))
    (outcome,) = opened(tmp_path, FACTS).poll()
    assert (outcome.code, outcome.result) == (None, b"")
    assert "larger than 1 MiB" in outcome.errors


@pytest.mark.parametrize("suffix", [".result", ".code", ".errors"])
def test_a_pipe_or_a_link_in_place_of_a_file_delays_nothing(suffix: str, tmp_path: Path) -> None:
    for number, make in enumerate((os.mkfifo, lambda path: path.symlink_to("/etc/passwd"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended(folder, "facts")
        (folder / f"facts{suffix}").unlink(missing_ok=True)
        make(folder / f"facts{suffix}")
        (outcome,) = opened(folder, FACTS).poll()
        assert outcome.result == b""
        assert "root:" not in outcome.errors


def test_only_the_end_of_long_errors_is_read(tmp_path: Path) -> None:
    ended(tmp_path, "facts")
    (tmp_path / "facts.errors").write_text("x" * 100_000 + "last")
    (outcome,) = opened(tmp_path, FACTS).poll()
    assert outcome.errors.endswith("xlast")
    assert len(outcome.errors) == result_folder.MOST_ERROR_BYTES


@pytest.mark.parametrize("uid", ["../x", "", ".x", "a/b", "-x", "a\0"])
def test_a_uid_never_names_a_path(uid: str) -> None:
    with pytest.raises(CampaignError, match="no name of a file"):
        check_uids([Task(uid, HOST, ())])
