"""A Slurm of some nodes that runs each job at once on this machine; `faults` has the nodes that do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripted_engines import in_background, install, state

if TYPE_CHECKING:
    from agent.campaigns.launchers.slurm import SlurmLauncher

NAMES = ("sbatch", "scontrol", "squeue", "scancel", "sinfo", "sacct")


def install_slurm(folder: Path, nodes: dict[str, str]) -> Path:
    """Install a Slurm; `nodes` has the fault of each node: "" for none, `down`, or `dies` as it starts a job.

    The next commands of a name in its state `away` do not reach the controller; those in `mute` do, without an answer.
    """
    return install(
        folder, "scripted_slurm", NAMES, {"nodes": nodes, "jobs": {}, "arrays": 0, "away": [], "mute": [], "ended": ""}
    )


def slurm_launcher(folder: Path) -> SlurmLauncher:
    """Return a launcher whose results and state are below a folder."""
    from agent.campaigns.launchers import slurm
    from campaign_tasks import fields_of

    results, state_folder = str(folder / "results"), str(folder / "state")
    return slurm.launcher(fields_of(folder=results, state=state_folder, partition="main", gres="gpu:8"))


def play(name: str, words: list[str], folder: str) -> None:
    """Answer one command."""
    with state(folder) as found:
        found["calls"].append([name, *words])
        away, mute = name in found["away"], name in found["mute"]
        if away or mute:
            found["away" if away else "mute"].remove(name)
        if not away:
            globals()[f"_{name}"](found, words, folder)
    if away:
        sys.exit(f"{name}: error: Unable to contact slurm controller (connect failure)")
    if mute:
        sys.exit(f"{name}: error: Socket timed out on send/recv operation")


def _option(words: list[str], name: str) -> str:
    return next(word.partition("=")[2] for word in words if word.startswith(f"--{name}="))


def _sbatch(found: dict[str, Any], words: list[str], folder: str) -> None:
    found["arrays"] += 1
    array, name = str(found["arrays"]), _option(words, "job-name")
    script = str(Path(folder) / f"{array}.sh")
    Path(script).write_text(sys.stdin.read())
    for index in range(int(_option(words, "array").partition("-")[2]) + 1):
        log = _option(words, "output").replace("%x", name).replace("%a", str(index))
        job = {"name": name, "script": script, "log": log, "state": "PENDING", "reason": "JobHeldUser", "node": ""}
        found["jobs"][f"{array}_{index}"] = job
    sys.stdout.write(f"{array};cluster\n")


def _scontrol(found: dict[str, Any], words: list[str], folder: str) -> None:
    if words[0] == "update":
        number, node = words[1].partition("=")[2], words[2].partition("=")[2]
        if node not in found["nodes"]:
            sys.exit("slurm_update error: Invalid node name specified")
        found["jobs"][number]["node"] = node
        return
    for number, job in found["jobs"].items():
        if number.partition("_")[0] == words[1] and job["reason"] == "JobHeldUser":
            fault = found["nodes"].get(job["node"], "")
            if fault == "down":
                job["reason"] = f"ReqNodeNotAvail, UnavailableNodes:{job['node']}"
            elif fault == "dies":
                job.update(state="NODE_FAIL", reason="None")
            elif job["state"] == "PENDING":
                job.update(state="RUNNING", reason="None")
                job["group"] = in_background(lambda number=number, job=job: _run(number, job, folder))
                found["running"].append(job["group"])


def _run(number: str, job: dict[str, Any], folder: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables = {**kept, "SLURM_ARRAY_TASK_ID": number.partition("_")[2]}
    with Path(job["log"]).open("wb") as log:
        code = subprocess.run(["/bin/sh", job["script"]], env=variables, stdout=log, stderr=log, check=False).returncode
    with state(folder) as found:
        found["jobs"][number]["state"] = "FAILED" if code else "COMPLETED"


def _squeue(found: dict[str, Any], words: list[str], _folder: str) -> None:
    names = _option(words, "name").split(",")
    for number, job in found["jobs"].items():
        if job["name"] in names:
            array, _, index = number.partition("_")
            sys.stdout.write(f"{job['name']}|{array}|{index}|{job['state']}|{job['reason']}\n")


def _scancel(found: dict[str, Any], words: list[str], _folder: str) -> None:
    job = found["jobs"][words[0]]
    if "group" in job:
        with suppress(ProcessLookupError):
            os.killpg(job["group"], signal.SIGKILL)
    job.update(state="CANCELLED", reason="None")


def _sinfo(found: dict[str, Any], _words: list[str], _folder: str) -> None:
    for node in found["nodes"]:
        sys.stdout.write(f"{node}|main|h100,nvlink\n{node}|debug|(null)\n")


def _sacct(found: dict[str, Any], _words: list[str], _folder: str) -> None:
    sys.stdout.write(found["ended"])
