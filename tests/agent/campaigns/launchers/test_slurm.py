"""A campaign on a scripted Slurm: one job for each host, faults of nodes, and heads that are killed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm, slurm_arrays, slurm_jobs
from agent.campaigns.launchers.slurm_script import script_of
from agent.campaigns.records import Host, Task
from campaign_tasks import Head, Notes, fields_of, program, runs_of, tasks_of
from scripted_engines import end_all, state
from scripted_slurm import install_slurm
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
    monkeypatch.setattr(slurm_arrays, "_FAILED_SECONDS", 0.3)
    monkeypatch.setattr(slurm_arrays, "_COMPLETED_SECONDS", 0.3)
    monkeypatch.setattr(slurm_arrays, "_UNAVAILABLE_SECONDS", 0.5)
    yield folder
    end_all(folder)


@pytest.fixture
def launcher(tmp_path: Path) -> slurm.SlurmLauncher:
    folder = str(tmp_path / "results")
    return slurm.launcher(fields_of(folder=folder, state=str(tmp_path / "state"), partition="main", gres="gpu:8"))


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
    assert "NODE_FAIL" in found["n3-facts"].errors
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


def test_hosts_with_labels_of_their_own_get_arrays_of_their_constraint(
    tmp_path: Path, launcher: slurm.SlurmLauncher
) -> None:
    script = program(tmp_path)
    tasks = [
        *tasks_of(script, {"n1": ("measure", "a")}, {"constraint": "h100&nvlink"}),
        *tasks_of(script, {"n2": ("measure", "b")}),
    ]
    first, second = launcher.render(tasks).values()
    assert "'--constraint=h100&nvlink'" in first
    assert "--constraint" not in second


def test_words_are_never_code_of_the_shell(tmp_path: Path) -> None:
    hostile = ("measure", '$(touch x)\'; touch y; `touch z` "$HOME" \\')
    (task,) = (
        replace(each, timeout_seconds=5.0)
        for each in tasks_of(program(tmp_path), {"n1": hostile})
        if each.uid == "n1-profile"
    )
    text = script_of("job", [[task]], tmp_path, str(tmp_path / "state"))
    (tmp_path / "job_0.n1-profile.given").write_text("")
    subprocess.run(
        ["/bin/sh", "-s"], input=text, text=True, check=True, env={"SLURM_ARRAY_TASK_ID": "0", "PATH": "/usr/bin:/bin"}
    )
    assert (tmp_path / "job_0.n1-profile.result").read_text() == hostile[1]
    assert not {"x", "y", "z"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("cluster")
def test_a_task_that_exceeds_its_time_ends_with_a_reason(tmp_path: Path, launcher: slurm.SlurmLauncher) -> None:
    head = Head()
    tasks = [replace(task, timeout_seconds=1.0) for task in tasks_of(program(tmp_path), {"n1": ("wait",)})]
    assert head.all_of(launcher.run(tasks, Notes(), head.proceed))["n1-profile"].code == 124


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"folder": "results"}, "folder: results is not an absolute path"),
        ({"folder": "/shared/%x"}, "is not an absolute path without %"),
        ({"folder": "/shared", "state": "state"}, "state: state is not an absolute path"),
        ({}, "folder is missing"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(table: dict[str, str], problem: str) -> None:
    with pytest.raises(CampaignError, match=problem):
        slurm.launcher(fields_of(**table))


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, launcher: slurm.SlurmLauncher) -> None:
    launcher.options.folder.mkdir()
    launcher.options.folder.chmod(0o777)
    with pytest.raises(CampaignError, match="chmod go-w"):
        next(launcher.run(tasks_of(program(tmp_path), {"n1": ("measure", "a")}), Notes(), Head().proceed))


@pytest.mark.parametrize("address", ["n[1-9]", "n1,n2", "-n1", "n1 n2", ""])
def test_an_address_that_is_no_node_is_refused(address: str, launcher: slurm.SlurmLauncher) -> None:
    task = Task("u", Host("n1", address), ("facts",))
    with pytest.raises(CampaignError, match="is not the name of a node"):
        launcher.render([task])


@pytest.mark.usefixtures("cluster")
def test_a_group_is_a_partition_or_a_feature(launcher: slurm.SlurmLauncher) -> None:
    assert launcher.members("main") == launcher.members("nvlink") == ["n1", "n2", "n3", "n4"]
    with pytest.raises(CampaignError, match="no partition and no feature"):
        launcher.members("a100")


def test_a_missing_slurm_is_named(
    tmp_path: Path, launcher: slurm.SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CampaignError, match="sbatch cannot be started"):
        next(launcher.run(tasks_of(program(tmp_path), {"n1": ("measure", "a")}), Notes(), Head().proceed))
