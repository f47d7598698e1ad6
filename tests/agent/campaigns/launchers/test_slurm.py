"""A campaign on a scripted Slurm: one job for each host, faults of nodes, and heads that are killed."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm, slurm_arrays, slurm_jobs
from campaign_tasks import Head, Notes, program, runs_of, tasks_of
from scripted_engines import end_all, state
from scripted_slurm import install_slurm, slurm_launcher
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "slurm"
    monkeypatch.setenv(
        "PATH", f"{install_slurm(folder, {'n1': '', 'n2': '', 'n3': 'dies', 'n4': 'down'})}:/usr/bin:/bin"
    )
    monkeypatch.setattr(slurm, "_STATES_SECONDS", 0.2)
    monkeypatch.setattr(slurm_arrays, "_ENDED_SECONDS", 0.3)
    monkeypatch.setattr(slurm_arrays, "_UNAVAILABLE_SECONDS", 0.5)
    monkeypatch.setattr(slurm_jobs, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(slurm_arrays, "_CANCEL_SECONDS", 0.05)
    yield folder
    end_all(folder)


@pytest.fixture
def launcher(tmp_path: Path) -> slurm.SlurmLauncher:
    return slurm_launcher(tmp_path)


def test_each_host_has_an_exclusive_job_on_its_node(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", "a"), "n2": ("measure", "b")})
    head = Head()
    found = head.all_of(launcher.run(tasks, Notes(), head.proceed))
    assert [found[f"{name}-profile"].result for name in ("n1", "n2")] == [b"tariff of n1\na", b"tariff of n2\nb"]
    assert found["n1-facts"].result == b"facts\n"
    assert {outcome.code for outcome in found.values()} == {0}
    with state(cluster) as seen:
        (submission,) = [call for call in seen["calls"] if call[0] == "sbatch"]
        assert {"--exclusive", "--nodes=1", "--no-requeue", "--partition=main", "--gres=gpu:8"} <= set(submission)
        assert "--export=PATH,HOME,USER,LOGNAME,LANG" in submission
        assert {job["node"] for job in seen["jobs"].values()} == {"n1", "n2"}
    assert [path.name for path in launcher.options.folder.iterdir() if path.suffix != ".log"] == []


@pytest.mark.usefixtures("cluster")
def test_the_command_ran_between_the_times_of_its_outcome(tmp_path: Path, launcher: slurm.SlurmLauncher) -> None:
    script, head = program(tmp_path), Head()
    found = head.all_of(launcher.run(tasks_of(script, {"n1": ("measure", "a")}), Notes(), head.proceed))
    outcome, ran_ns = found["n1-profile"], int(script.with_name("runs").read_text())
    assert outcome.sent_ns <= ran_ns <= outcome.received_ns
    assert outcome.received_ns - outcome.sent_ns < 30e9


@pytest.mark.usefixtures("cluster")
def test_a_job_reads_the_time_of_the_head_before_its_command(
    tmp_path: Path, launcher: slurm.SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job begins after the head has written its time, though it was submitted long before."""
    script, head = program(tmp_path), Head()
    monkeypatch.setattr(slurm_jobs, "release", lambda _: None)
    outcomes = launcher.run(tasks_of(script, {"n1": ("measure", "a")}), Notes(), head.proceed)
    written: list[int] = []

    def release() -> None:
        await_true(lambda: list(launcher.options.folder.glob("*.clock")))
        written.append(time.time_ns())
        time.sleep(3 * slurm_arrays._CLOCK_SECONDS)
        subprocess.run(["scontrol", "release", "1"], check=True)

    thread = threading.Thread(target=release)
    thread.start()
    found = head.all_of(outcomes)
    thread.join()
    assert written[0] < found["n1-facts"].sent_ns <= found["n1-profile"].received_ns


def test_a_host_that_fails_has_a_reason_and_does_not_fail_the_others(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    words = {
        "n1": ("measure", "a"),
        "n2": ("fail",),
        "n3": ("measure", "c"),
        "n4": ("measure", "d"),
        "n5": ("measure", "e"),
    }
    head = Head()
    found = head.all_of(launcher.run(tasks_of(program(tmp_path), words), Notes(), head.proceed))
    assert found["n1-profile"].code == 0
    assert found["n2-profile"].code == 3
    assert "error: no engine" in found["n2-profile"].errors
    assert "NODE_FAIL: its node failed" in found["n3-facts"].errors
    assert "UnavailableNodes:n4" in found["n4-facts"].errors
    assert "does not accept the node n5" in found["n5-facts"].errors
    assert not {"n3-profile", "n4-profile", "n5-profile"} & set(found)
    assert {"n3-facts", "n4-facts", "n5-facts"} <= set(head.seen)
    with state(cluster) as seen:
        assert seen["jobs"]["1_3"]["state"] == seen["jobs"]["1_4"]["state"] == "CANCELLED"


def test_a_refused_host_is_cancelled(tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher) -> None:
    head = Head(refused=("n1",))
    tasks = tasks_of(program(tmp_path), {"n1": ("wait",), "n2": ("measure", "b")})
    found = head.all_of(launcher.run(tasks, Notes(), head.proceed))
    assert set(found) == {"n1-facts", "n2-facts", "n2-profile"}
    with state(cluster) as seen:
        assert seen["jobs"]["1_0"]["state"] == "CANCELLED"


def test_a_new_head_attaches_to_the_jobs_of_the_last_one(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    script, notes, head = program(tmp_path), Notes(), Head()
    tasks = tasks_of(script, {"n1": ("measure", "a"), "n2": ("measure", "b")})
    first = launcher.run(tasks, notes, head.proceed)
    killed = next(first)
    first.close()
    rest = [task for task in tasks if task.uid != killed.task.uid or task.uid.endswith("facts")]
    found = head.all_of(launcher.run(rest, notes, head.proceed))
    assert {uid for uid in found if uid.endswith("profile")} == {"n1-profile", "n2-profile"}
    assert runs_of(script) == 2
    with state(cluster) as seen:
        assert len([call for call in seen["calls"] if call[0] == "sbatch"]) == 1


@pytest.mark.usefixtures("cluster")
def test_a_head_that_was_killed_before_the_release_binds_and_releases_the_jobs(
    tmp_path: Path, launcher: slurm.SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, notes, head = program(tmp_path), Notes(), Head()
    tasks = tasks_of(script, {"n1": ("measure", "a")})
    with monkeypatch.context() as killed:
        killed.setattr(slurm_jobs, "bind", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(launcher.run(tasks, notes, head.proceed))
    found = head.all_of(launcher.run(tasks, notes, head.proceed))
    assert found["n1-profile"].code == 0
    assert runs_of(script) == 1


@pytest.mark.usefixtures("cluster")
def test_a_head_that_stops_leaves_no_time_of_its_own(tmp_path: Path, launcher: slurm.SlurmLauncher) -> None:
    outcomes = launcher.run(tasks_of(program(tmp_path), {"n1": ("wait",)}), Notes(), Head().proceed)
    next(outcomes)
    assert list(launcher.options.folder.glob("*.clock"))
    outcomes.close()
    assert not list(launcher.options.folder.glob("*.clock*"))


def test_results_that_arrived_while_there_was_no_head_are_found(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    script, notes, head = program(tmp_path), Notes(), Head()
    tasks = tasks_of(script, {"n1": ("measure", "a")})
    first = launcher.run(tasks, notes, head.proceed)
    next(first)
    first.close()
    await_true(lambda: list(launcher.options.folder.glob("*.n1-profile.code")))
    with state(cluster) as seen:
        seen["jobs"].clear()  # Slurm forgets ended jobs after minutes
    found = head.all_of(launcher.run(tasks, notes, head.proceed))
    assert found["n1-profile"].result == b"tariff of n1\na"
    assert runs_of(script) == 1


def test_a_failed_host_gets_a_new_job(tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher) -> None:
    script, notes, head = program(tmp_path), Notes(), Head()
    tasks = tasks_of(script, {"n3": ("measure", "c")})
    assert head.all_of(launcher.run(tasks, notes, head.proceed))["n3-facts"].code is None
    with state(cluster) as seen:
        seen["nodes"]["n3"] = ""
    assert head.all_of(launcher.run(tasks, notes, head.proceed))["n3-profile"].code == 0


def test_a_controller_that_starts_again_is_waited_for(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    script, notes, head = program(tmp_path), Notes(), Head(refused=("n2",))
    tasks = tasks_of(script, {"n1": ("measure", "a"), "n2": ("wait",)})
    with state(cluster) as seen:
        seen["away"] = ["sbatch", "scontrol", "scontrol", "squeue", "squeue", *["scancel"] * 20]
    found = head.all_of(launcher.run(tasks, notes, head.proceed))
    assert (found["n1-facts"].code, found["n1-profile"].code) == (0, 0)
    with state(cluster) as seen:
        assert seen["arrays"] == 1
        assert seen["jobs"]["1_1"]["state"] == "CANCELLED"
        seen["away"] = ["squeue", "squeue"]
    assert head.all_of(launcher.run(tasks, notes, head.proceed))["n1-profile"].code == 0


def test_an_array_whose_submission_had_no_answer_is_not_submitted_twice(
    tmp_path: Path, cluster: Path, launcher: slurm.SlurmLauncher
) -> None:
    script, head = program(tmp_path), Head()
    with state(cluster) as seen:
        seen["mute"] = ["sbatch"]
    found = head.all_of(launcher.run(tasks_of(script, {"n1": ("measure", "a")}), Notes(), head.proceed))
    assert found["n1-profile"].code == 0
    with state(cluster) as seen:
        assert seen["arrays"] == 1


def test_the_accounting_of_an_array_is_read(cluster: Path) -> None:
    with state(cluster) as seen:
        seen["ended"] = "7_0|CANCELLED by 1000\n7_1|RUNNING\n7_[2-3]|PENDING\nbroken\n"
    assert slurm_jobs.accounted("a") == {"a_0": slurm_jobs.Job("7_0", "CANCELLED", "")}


@pytest.mark.usefixtures("cluster")
def test_a_task_that_exceeds_its_time_ends_with_a_reason(tmp_path: Path, launcher: slurm.SlurmLauncher) -> None:
    head = Head()
    tasks = [replace(task, timeout_seconds=4.0) for task in tasks_of(program(tmp_path), {"n1": ("wait",)})]
    assert head.all_of(launcher.run(tasks, Notes(), head.proceed))["n1-profile"].code == 124


@pytest.mark.usefixtures("cluster")
def test_a_group_is_a_partition_or_a_feature(launcher: slurm.SlurmLauncher) -> None:
    assert launcher.members("main") == launcher.members("nvlink") == ["n1", "n2", "n3", "n4"]
    with pytest.raises(CampaignError, match="no partition and no feature"):
        launcher.members("a100")
