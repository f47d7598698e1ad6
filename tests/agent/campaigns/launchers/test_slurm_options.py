"""The submission to Slurm: options, the names of nodes, the folder of the results, and the words of commands."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import slurm
from agent.campaigns.launchers.slurm_script import script_of
from agent.campaigns.records import Host, Task
from campaign_tasks import Head, Notes, fields_of, program, tasks_of
from scripted_slurm import slurm_launcher

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def launcher(tmp_path: Path) -> slurm.SlurmLauncher:
    return slurm_launcher(tmp_path)


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


def test_a_missing_slurm_is_named(
    tmp_path: Path, launcher: slurm.SlurmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CampaignError, match="sbatch cannot be started"):
        next(launcher.run(tasks_of(program(tmp_path), {"n1": ("measure", "a")}), Notes(), Head().proceed))
