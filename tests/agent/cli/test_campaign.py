"""`inferometer campaign` with hosts that a script plays: faults of hosts, and ends of the head at every stage."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from campaign_files import campaign_file
from command import call, finish, run, started
from scripted_hosts import NAMES, ScriptedHost, file_of, three_hosts
from sshd_server import needs_sshd, sshd
from waiting import await_true

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, ScriptedHost]:
    return three_hosts(tmp_path)


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def words(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output in one line, as the terminal of a test is narrow."""
    return " ".join(done.stdout.split())


def statuses(found: dict[str, Any]) -> dict[str, list[str]]:
    return {name: [each["status"] for each in found["profiles"] if each["host"] == name] for name in NAMES}


def test_every_host_has_its_row_in_one_table_and_its_profiles_in_the_store(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    file = file_of(tmp_path, hosts, "repetitions = 3")
    done = run(tmp_path, "campaign", "run", file, "--report", "machines.html")
    assert done.returncode == 0, done.stderr
    assert "<html" in (tmp_path / "machines.html").read_text()
    assert re.search(r"nightly, run [0-9a-f-]+: finished\. 9 of 9 profiles done on 3 hosts\.", words(done))
    for name in NAMES:
        assert re.search(rf"^{name} +transformer --quick --batch=1,2 +3/3 ", done.stdout, re.MULTILINE)
    listed = json.loads(call(tmp_path, "profiles", "list", "--json").stdout)
    assert len(listed["profiles"] if isinstance(listed, dict) else listed) == 9
    shown = run(tmp_path, "campaign", "status", file, "--json")
    assert result(shown)["status"] == "finished"
    assert [call_[:2] for call_ in hosts["one"].calls] == [["campaign", "facts"], *[["profile", "transformer"]] * 3]


def test_a_failed_host_and_a_refused_one_are_named_with_the_reason_and_the_rest_is_measured(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    hosts["one"].behave(error="the model is missing")
    hosts["two"].behave(offset=-60.0)
    file = file_of(tmp_path, hosts)
    done = run(tmp_path, "campaign", "run", file, "--json")
    assert done.returncode == 1
    found = result(done)
    assert statuses(found) == {"one": ["failed"], "two": ["waiting"], "three": ["done"]}
    assert [each["reason"] for each in found["profiles"]] == ["the model is missing", "", ""]
    assert "its clock differs by at least" in found["hosts"][1]["problems"][0]
    assert hosts["two"].measured == []
    assert f"2 of 3 profiles are missing: once the reasons above are removed, `inferometer campaign resume {file}`" in (
        done.stderr
    )
    shown = run(tmp_path, "campaign", "status", file)
    assert shown.returncode == 1
    assert "one: transformer --quick --batch=1,2 1: the model is missing." in shown.stdout
    for name in ("one", "two"):
        hosts[name].behave()
    done = run(tmp_path, "campaign", "resume", file, "--json")
    assert done.returncode == 0, done.stderr
    assert statuses(result(done)) == {name: ["done"] for name in NAMES}
    assert len(hosts["three"].measured) == 1


STAGES = {
    "asked": lambda hosts: hosts["one"].calls,
    "first host measures": lambda hosts: hosts["one"].measured,
    "second host is asked": lambda hosts: hosts["two"].calls,
    "second host measures": lambda hosts: hosts["two"].measured,
    "last host measures": lambda hosts: hosts["three"].measured,
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_head_that_is_killed_at_any_stage_resumes_and_measures_nothing_twice(
    tmp_path: Path, hosts: dict[str, ScriptedHost], stage: str
) -> None:
    for host in hosts.values():
        host.behave(thinks=0.5, seconds=3.0)
    file = file_of(tmp_path, hosts)
    with started(tmp_path, "campaign", "run", file) as process:
        await_true(lambda: STAGES[stage](hosts))
        os.kill(process.pid, signal.SIGKILL)  # the commands of the hosts go on
        finish(process)
    shown = result(run(tmp_path, "campaign", "status", file, "--json"))
    assert shown["status"] == "unfinished"
    done = run(tmp_path, "campaign", "resume", file, "--json")
    assert done.returncode == 0, done.stderr
    assert statuses(result(done)) == {name: ["done"] for name in NAMES}
    assert all(each["stored"] for each in result(done)["profiles"])
    assert [len(hosts[name].measured) for name in NAMES] == [1, 1, 1]


def test_an_interrupted_head_ends_its_commands_and_names_the_way_to_continue(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    hosts["one"].behave(seconds=100.0)
    file = file_of(tmp_path, hosts)
    with started(tmp_path, "campaign", "run", file) as process:
        await_true(lambda: hosts["one"].measured)
        os.kill(process.pid, signal.SIGINT)
        ended = finish(process)
    assert ended.returncode == 130
    assert f"`inferometer campaign resume {file}` continues it" in ended.stderr
    assert "Traceback" not in ended.stderr
    hosts["one"].behave()
    done = run(tmp_path, "campaign", "resume", file)
    assert done.returncode == 0, done.stderr


@needs_sshd
def test_a_host_whose_connection_is_lost_finishes_and_resume_takes_its_profile(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    two = {name: hosts[name] for name in ("one", "two")}
    two["one"].behave(seconds=6.0)
    with sshd(tmp_path / "server") as config:
        file = file_of(tmp_path, two)
        campaign_file(tmp_path, file.read_text().replace('"local"', f'"ssh"\nconfig = "{config}"'))
        with started(tmp_path, "campaign", "run", file, "--json") as process:
            await_true(lambda: two["one"].measured and list(two["two"].folder.glob("*.zip")))
            for client in Path(f"/proc/{process.pid}/task").glob("*/children"):
                for pid in client.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            lost = result(finish(process))
        assert lost["status"] == "unfinished"
        assert [each["status"] for each in lost["profiles"]] in (["running", "done"], ["running", "running"])
        done = run(tmp_path, "campaign", "resume", file, "--json")
        assert done.returncode == 0, done.stderr
        assert [each["status"] for each in result(done)["profiles"]] == ["done", "done"]
    assert [len(host.measured) for host in two.values()] == [1, 1]


def test_collect_fetches_what_a_host_has_measured_without_its_head(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    hosts["one"].behave(seconds=5.0)
    file = file_of(tmp_path, hosts)
    with started(tmp_path, "campaign", "run", file) as process:
        await_true(lambda: hosts["one"].measured)
        os.kill(process.pid, signal.SIGKILL)
        finish(process)
    await_true(lambda: list(hosts["one"].folder.glob("*.zip")))
    done = run(tmp_path, "campaign", "collect", file, "--json")
    assert done.returncode == 1
    assert statuses(result(done)) == {"one": ["done"], "two": ["waiting"], "three": ["waiting"]}
    assert hosts["two"].measured == []


def test_a_run_has_one_head_and_a_changed_file_is_not_continued(tmp_path: Path, hosts: dict[str, ScriptedHost]) -> None:
    hosts["one"].behave(seconds=300.0)
    file = file_of(tmp_path, hosts)
    with started(tmp_path, "campaign", "run", file) as process:
        await_true(lambda: hosts["one"].measured)
        for command in ("run", "resume", "collect"):
            refused = run(tmp_path, "campaign", command, file)
            assert refused.returncode == 1
            assert "has a head already" in refused.stderr
        assert result(run(tmp_path, "campaign", "status", file, "--json"))["status"] == "running"
        os.kill(process.pid, signal.SIGTERM)
        finish(process)
    file_of(tmp_path, hosts, "repetitions = 2")
    for command in ("resume", "collect"):
        refused = run(tmp_path, "campaign", command, file)
        assert refused.returncode == 1
        assert re.search(r"has changed since run \S+ began: repetitions is 2, and was 1\. Undo that", refused.stderr)
    hosts["one"].behave()
    file_of(tmp_path, hosts)
    assert run(tmp_path, "campaign", "resume", file).returncode == 0


def test_a_torn_start_of_a_run_stops_no_command(tmp_path: Path, hosts: dict[str, ScriptedHost]) -> None:
    one = {"one": hosts["one"]}
    file = file_of(tmp_path, one)
    first = result(run(tmp_path, "campaign", "run", file, "--json"))
    [journal] = tmp_path.glob("**/nightly/*/journal.jsonl")
    torn = journal.parent.with_name("29990101-000000-0123abcd")
    torn.mkdir()
    (torn / "journal.jsonl").write_bytes(journal.read_bytes()[:40])
    for command in ("status", "resume", "collect"):
        shown = run(tmp_path, "campaign", command, file, "--json")
        assert (shown.returncode, result(shown)["run"]) == (0, first["run"])
    (torn / "journal.jsonl").write_bytes(journal.read_bytes()[:40] + b"\n")  # a start that is damaged as a whole
    assert "its start is damaged: run the campaign again" in run(tmp_path, "campaign", "status", file).stderr
    again = run(tmp_path, "campaign", "run", file, "--json")
    assert again.returncode == 0
    assert "its start is damaged" in again.stderr


def test_a_host_that_was_busy_is_measured_once_the_limit_is_raised(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    one = {"one": hosts["one"]}
    hosts["one"].behave(facts={"other_load": 0.8})
    refused = run(tmp_path, "campaign", "run", file_of(tmp_path, one))
    assert refused.returncode == 1
    assert "or raise other_load in the campaign file" in words(refused)
    done = run(tmp_path, "campaign", "resume", file_of(tmp_path, one, "other_load = 0.9"), "--json")
    assert done.returncode == 0, done.stderr
    assert statuses(result(done))["one"] == ["done"]
    assert "--force" in hosts["one"].calls[-1]


def test_the_reasons_are_shown_before_a_report_that_has_nothing_to_show(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    hosts["one"].behave(error="the model is missing")
    done = run(tmp_path, "campaign", "run", file_of(tmp_path, {"one": hosts["one"]}), "--report", "machines.html")
    assert done.returncode == 1
    assert "the model is missing" in done.stdout


def test_a_regression_ends_a_scheduled_run_with_its_own_code_until_it_is_accepted(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    file = file_of(tmp_path, hosts, "repetitions = 3\n[drift]\nshare = 0.05")
    first = run(tmp_path, "campaign", "run", file)
    assert first.returncode == 0, first.stderr
    assert "is accepted: later runs are compared with it" in first.stderr
    same = run(tmp_path, "campaign", "run", file)
    assert same.returncode == 0, same.stdout
    assert "no significant regression" in same.stdout
    hosts["two"].behave(energy=1.3)
    worse = run(tmp_path, "campaign", "run", file)
    assert worse.returncode == 5
    for command in ("status", "resume", "collect"):
        assert run(tmp_path, "campaign", command, file).returncode == 5
    assert "REGRESSION two: transformer --quick --batch=1,2" in words(worse)
    assert "joules_per_inference is 1.3" in words(worse)
    assert "REGRESSION one" not in worse.stdout
    assert call(tmp_path, "campaign", "accept", file).returncode == 0
    again = run(tmp_path, "campaign", "run", file, "--json")
    assert again.returncode == 0
    assert not any(each["regressed"] for each in result(again)["drift"]["changes"])


def test_drift_that_cannot_be_tested_ends_with_an_error_code_and_names_the_reason(
    tmp_path: Path, hosts: dict[str, ScriptedHost]
) -> None:
    one = {"one": hosts["one"]}
    file = file_of(tmp_path, one, "repetitions = 3\n[drift]\nshare = 0.05")
    assert run(tmp_path, "campaign", "run", file).returncode == 0
    [accepted] = tmp_path.glob("**/nightly/accepted")
    for content, reason in (("../x", "is not a run"), ("20000101-000000-0123abcd", "journal.jsonl: it cannot be read")):
        accepted.write_text(f"{content}\n")
        for command in ("run", "status"):
            done = run(tmp_path, "campaign", command, file, "--json")
            assert done.returncode == 1
            [untested] = result(done)["drift"]["untested"]
            assert reason in untested
        assert accepted.read_text() == f"{content}\n"
    assert call(tmp_path, "campaign", "accept", file).returncode == 0
    assert run(tmp_path, "campaign", "status", file).returncode == 0


def test_a_run_that_is_not_complete_cannot_be_accepted(tmp_path: Path, hosts: dict[str, ScriptedHost]) -> None:
    hosts["one"].behave(error="no")
    file = file_of(tmp_path, hosts)
    run(tmp_path, "campaign", "run", file)
    refused = call(tmp_path, "campaign", "accept", file)
    assert refused.returncode == 1
    assert "is not complete" in refused.stderr
