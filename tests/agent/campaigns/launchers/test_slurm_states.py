"""The states of a job of Slurm: the reason why its host is lost, and the time that passes before it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm_arrays, slurm_jobs
from agent.campaigns.launchers.job_notes import JobNotes
from campaign_tasks import Notes, tasks_of
from scripted_slurm import slurm_launcher

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agent.campaigns.launchers.slurm import SlurmLauncher


class Answers:
    """The jobs of one host, whose answers by Slurm a test sets."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: SlurmLauncher) -> None:
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
def launcher(tmp_path: Path) -> SlurmLauncher:
    return slurm_launcher(tmp_path)


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: SlurmLauncher) -> Answers:
    return Answers(tmp_path, monkeypatch, launcher)


@pytest.mark.parametrize("state", sorted(slurm_jobs._ENDS))
def test_each_end_of_a_job_has_a_reason_once_its_results_could_have_appeared(state: str, answers: Answers) -> None:
    assert answers.lost_at(0, (state, "None")) == answers.lost_at(59, (state, "None")) == ""
    reason = answers.lost_at(60, (state, "None"))
    assert reason == f"the job 7_0 of Slurm ended without a result ({state}: {slurm_jobs._ENDS[state]})"


def test_the_reason_of_a_job_is_one_line_with_the_end_of_its_output(answers: Answers, launcher: SlurmLauncher) -> None:
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
