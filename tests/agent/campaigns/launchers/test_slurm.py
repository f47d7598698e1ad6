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
from agent.campaigns.launchers.job_notes import JobNotes
from agent.campaigns.launchers.slurm_script import script_of
from agent.campaigns.records import Host, Task
from campaign_tasks import Head, Notes, fields_of, program, runs_of, tasks_of
from scripted_engines import end_all, state
from scripted_slurm import install_slurm
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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


class Answers:
    """The jobs of one host, whose answers by Slurm a test sets."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: slurm.SlurmLauncher) -> None:
        self.now = 0.0
        self.answer: tuple[str, str] | Exception | None = None
        self.accounted: list[slurm_jobs.Job] = []
        launcher.options.folder.mkdir()
        monkeypatch.setattr(slurm_jobs, "submit", lambda *_: "7")
        monkeypatch.setattr(slurm_jobs, "bind", lambda *_: None)
        monkeypatch.setattr(slurm_jobs, "release", lambda *_: None)
        monkeypatch.setattr(slurm_jobs, "jobs_named", self._named)
        monkeypatch.setattr(slurm_jobs, "accounted", lambda name: {f"{name}_0": job for job in self.accounted})
        tasks = tasks_of(tmp_path, {"n1": ("measure", "a")})
        self.arrays = slurm_arrays.Arrays(launcher.options, JobNotes(Notes()), lambda: self.now)
        self.arrays.attach({"n1": tasks})

    def _named(self, names: Iterable[str]) -> dict[str, slurm_jobs.Job]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {f"{name}_0": slurm_jobs.Job("7_0", *self.answer) for name in names if self.answer}

    def lost_at(self, seconds: float, answer: tuple[str, str] | Exception | None) -> str:
        """Return why the host is lost if Slurm answers so at a time, empty if it is not."""
        self.now, self.answer = seconds, answer
        return "".join(reason for _, reason in self.arrays.lost(["n1"]))


AWAY = slurm_jobs.SlurmAwayError("squeue: Unable to contact slurm controller")
UNAVAILABLE = ("PENDING", "ReqNodeNotAvail, UnavailableNodes:n1")


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: slurm.SlurmLauncher) -> Answers:
    return Answers(tmp_path, monkeypatch, launcher)


@pytest.mark.parametrize("state", sorted(slurm_jobs._ENDS))
def test_each_end_of_a_job_has_a_reason_once_its_results_could_have_appeared(state: str, answers: Answers) -> None:
    assert answers.lost_at(0, (state, "None")) == answers.lost_at(59, (state, "None")) == ""
    reason = answers.lost_at(60, (state, "None"))
    assert reason == f"the job 7_0 of Slurm ended without a result ({state}: {slurm_jobs._ENDS[state]})"


def test_the_reason_of_a_job_is_one_line_with_the_end_of_its_output(
    answers: Answers, launcher: slurm.SlurmLauncher
) -> None:
    name = answers.arrays.stem(tasks_of(launcher.options.folder, {"n1": ("facts",)})[0]).partition(".")[0]
    (launcher.options.folder / f"{name}.log").write_text("first\nslurmstepd: error: *** DUE TO TIME LIMIT ***\n")
    assert answers.lost_at(0, ("TIMEOUT", "None")) == ""
    reason = answers.lost_at(60, ("TIMEOUT", "None"))
    assert reason.endswith("raise time_minutes, or timeout_hours): first slurmstepd: error: *** DUE TO TIME LIMIT ***")


@pytest.mark.parametrize("state", ["COMPLETING", "SUSPENDED", "STAGE_OUT", "CONFIGURING", "A_STATE_OF_LATER_VERSIONS"])
def test_a_job_in_another_state_is_not_given_up(state: str, answers: Answers) -> None:
    assert answers.lost_at(0, (state, "None")) == answers.lost_at(1e6, (state, "None")) == ""


@pytest.mark.parametrize("answer", [UNAVAILABLE, None, ("NODE_FAIL", "None"), ("PENDING", "BadConstraints")])
def test_the_time_of_an_outage_is_no_time_of_a_fault(answer: tuple[str, str] | None, answers: Answers) -> None:
    assert answers.lost_at(0, answer) == ""
    assert answers.lost_at(10, AWAY) == answers.lost_at(590, AWAY) == ""
    assert answers.lost_at(595, answer) == ""
    assert answers.lost_at(995, answer) != ""


def test_a_fault_that_passes_is_counted_again(answers: Answers) -> None:
    for answer in (UNAVAILABLE, None, ("PENDING", "BadConstraints")):
        assert answers.lost_at(0, answer) == answers.lost_at(5000, ("PENDING", "Priority")) == ""
        assert answers.lost_at(6000, answer) == answers.lost_at(6010, ("RUNNING", "None")) == ""


def test_a_controller_that_does_not_answer_for_long_ends_the_head(answers: Answers) -> None:
    with pytest.raises(CampaignError, match="campaign resume"):
        answers.lost_at(601, AWAY)


def test_a_job_that_slurm_has_forgotten_ends_as_its_accounting_states(answers: Answers) -> None:
    assert answers.lost_at(0, None) == answers.lost_at(290, None) == ""
    assert "does not list the job" in answers.lost_at(300, None)


def test_the_accounting_names_the_end_of_a_forgotten_job(answers: Answers) -> None:
    answers.accounted = [slurm_jobs.Job("7_0", "OUT_OF_MEMORY", "")]
    assert answers.lost_at(0, None) == ""
    assert "OUT_OF_MEMORY: it needed more memory" in answers.lost_at(60, None)


def test_a_queue_is_waited_in_for_the_time_of_the_file_whatever_its_reasons(answers: Answers) -> None:
    day = 1440 * 60.0
    assert answers.lost_at(0, ("PENDING", "Priority")) == answers.lost_at(day / 2, ("PENDING", "Resources")) == ""
    assert "did not start within 1440 minutes: Resources" in answers.lost_at(day, ("PENDING", "Resources"))


def test_the_accounting_of_an_array_is_read(cluster: Path) -> None:
    with state(cluster) as seen:
        seen["ended"] = "7_0|CANCELLED by 1000\n7_1|RUNNING\n7_[2-3]|PENDING\nbroken\n"
    assert slurm_jobs.accounted("a") == {"a_0": slurm_jobs.Job("7_0", "CANCELLED", "")}


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
