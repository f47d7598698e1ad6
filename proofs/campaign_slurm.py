"""Runs a campaign on a real Slurm: slurmctld, munged and a slurmd on each of six hosts, three of which have a fault.

The power of one host is cut while it measures, one lacks its GPU, and the clock of one is off. The controller is away
for half a minute. In the first run the head is killed at each stage, and resumes.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from campaign_head import STAGES, Head, profiles_of
from campaign_lab import HEAD, Lab, Node, lab
from debian_packages import unpacked
from reporting import Bar, table

if TYPE_CHECKING:
    from collections.abc import Sequence

_Json = dict[str, Any]
_PACKAGES = ("slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "faketime")
_DEAD, _LACKS, _LATE = 4, 5, 6
_OFFSETS = (-60.0, 2.0)
"""The heads of the first run are killed. A clock that is off by 2 s is found by a head that watches its host only."""
_START_SECONDS = _AWAY_SECONDS = 30.0
_POWER = 0.05
"""The largest relative difference of the measured power from that of the host."""

_CONFIGURATION = """ClusterName=proof
SlurmctldHost=head({head})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
ReturnToService=2
SlurmdTimeout=15
KillWait=5
MinJobAge=600
TreeWidth=60000
MpiDefault=none
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

_CAMPAIGN = """name = "slurm"
other_load = 1.0
mode = "quick"
require_energy = true

[launcher]
kind = "slurm"
folder = "{folder}/results"
state = "{state}"
constraint = "h100"
time_minutes = 30

[[host]]
name = "node[1-{count}]"
program = "{program}"
devices = {{ "*H100*" = 1 }}

[[workload]]
name = "command"
options = {{ idle_seconds = 1, window_seconds = 1, repeats = 3, warmup_seconds = 0.1, count = 10, force = true }}
words = ["sleep", "0.2"]
"""


def prove(quick: bool) -> tuple[_Json, list[Bar]]:
    """Run the campaigns; return their figures and bars."""
    root = _slurm()
    figures, bars = {}, []
    for offset in _OFFSETS[: 1 if quick else None]:
        stages = list(STAGES) if offset == _OFFSETS[0] else []
        with TemporaryDirectory(prefix="inferometer-slurm-") as folder:
            figures[f"clock {offset:+g} s"], found = _run(Path(folder), root, offset, stages)
        bars += found
    return figures, bars


def _slurm() -> Path:
    """Return the unpacked programs, with the names that the installation of the packages would link."""
    root = unpacked("slurm", *_PACKAGES)
    for path in root.glob("usr/*bin/*-wlm"):
        link = path.with_name(path.name.removesuffix("-wlm"))
        if not link.exists():
            link.symlink_to(path.name)
    return root


def _run(folder: Path, root: Path, offset: float, stages: Sequence[str]) -> tuple[_Json, list[Bar]]:
    """Run one campaign on six hosts."""
    nodes = [
        Node(number, folder / f"node{number}", gpu=number != _LACKS, clock_seconds=offset * (number == _LATE))
        for number in range(1, 7)
    ]
    installed = (each for place in (root, Path("/")) for each in place.glob("usr/lib/*/faketime/libfaketime.so.1"))
    faketime = next(installed)  # this machine may have the package, which is then not unpacked
    with lab(folder, [root], nodes, faketime) as made:
        faults = _Faults(made, nodes[_DEAD - 1], _start_slurm(made))
        file, home = folder / "campaign.toml", folder / "home"
        home.mkdir()
        text = _CAMPAIGN.format(folder=folder, state=made.state, program=made.program, count=len(nodes))
        file.write_text(text, encoding="utf-8")
        head = Head(made, file, home, {"SLURM_CONF": str(folder / "slurm.conf")})
        began = time.monotonic()
        code = head.to_the_end(stages, faults.watch)
        seconds = time.monotonic() - began
        result = head.call("campaign", "status", str(file))
        healthy = nodes[: _DEAD - 1]
        stored = {node.name: len(profiles_of(made, node)) for node in nodes if node is not faults.dead}
        own = head.call("profiles", "list")["profiles"]
        return _verdict(result, healthy, stored, own, head, code, seconds, offset, len(stages))


@dataclass(slots=True)
class _Faults:
    """Cuts the power of a host once it measures, and then stops the controller for a while."""

    lab: Lab
    dead: Node
    controller: subprocess.Popen[bytes]
    returns_at: float | None = None

    def watch(self, journal: str) -> None:
        """Cause what is due by the events of a journal."""
        # The facts of the host are verified, so it measures now.
        if self.dead.init and self.dead.init.poll() is None and f'"type":"host","host":"{self.dead.name}"' in journal:
            self.dead.power_off()
            self.controller.terminate()
            self.returns_at = time.monotonic() + _AWAY_SECONDS
            print(f"  the power of {self.dead.name} was cut, and the controller was stopped", flush=True)
        if self.returns_at and time.monotonic() >= self.returns_at and self.controller.poll() is not None:
            self.controller = _start_controller(self.lab)
            self.returns_at = None
            print("  the controller was started again", flush=True)


def _start_controller(made: Lab, *options: str) -> subprocess.Popen[bytes]:
    return made.start(
        "controller", made.inside("slurmctld", "-D", *options), SLURM_CONF=str(made.folder / "slurm.conf")
    )


def _start_slurm(made: Lab) -> subprocess.Popen[bytes]:
    """Start munged, slurmctld and every slurmd, wait until all nodes are idle, and return the controller."""
    folder = made.folder
    (folder / "controller").mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    features = "\n".join(
        f"NodeName={node.name} NodeAddr={node.address} CPUs=1 RealMemory=100 Feature=h100" for node in made.nodes
    )
    text = f"{_CONFIGURATION.format(head=HEAD, folder=folder)}{features}\n"
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    files = {"key": key, "socket": folder / "munge.socket", "pid": folder / "munge.pid", "log": folder / "munged.log"}
    names = {"key": "key-file", "socket": "socket", "pid": "pid-file", "log": "log-file"}
    options = [f"--{names[name]}={path}" for name, path in files.items()]
    folder.chmod(0o755)
    made.start("munge", made.inside("munged", "--foreground", "--force", f"--seed-file={folder}/munge.seed", *options))
    _wait_for(files["socket"].exists, "munged")
    variables = {"SLURM_CONF": str(folder / "slurm.conf")}
    controller = _start_controller(made, "-c")
    for node in made.nodes:
        (folder / f"spool-{node.name}").mkdir()
        made.start(f"{node.name}-slurmd", node.inside("slurmd", "-D", "-c"), **variables)
    _wait_for(lambda: _idle(made) == len(made.nodes), "the nodes of Slurm")
    return controller


def _idle(made: Lab) -> int:
    line = made.inside("sinfo", "--Node", "--noheader", "--states=idle", "--format=%N")
    variables = {**os.environ, "SLURM_CONF": str(made.folder / "slurm.conf")}
    return len(subprocess.run(line, capture_output=True, text=True, check=False, env=variables).stdout.split())


def _wait_for(ready: object, what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not start within {_START_SECONDS:g} s")
        time.sleep(0.2)


def _verdict(
    result: _Json, healthy: Sequence[Node], stored: _Json, own: list[_Json], head: Head, code: int, seconds: float,
    offset: float, kills: int,
) -> tuple[_Json, list[Bar]]:  # fmt: skip
    """Return the figures and bars of one campaign."""
    hosts = {each["host"]: each for each in result["hosts"]}
    profiles = {each["host"]: each for each in result["profiles"]}
    rows = [
        (name, each["status"], profiles[name]["status"], "; ".join(each["problems"]) or profiles[name]["reason"])
        for name, each in hosts.items()
    ]
    table(f"Slurm, clock of node{_LATE} {offset:+g} s", ("HOST", "HOST IS", "PROFILE", "REASON"), rows)
    names = [node.name for node in healthy]
    reasons = {name: row[-1] for name, *row in rows}
    wrong = [
        abs(_watts(head, profiles[node.name]["uid"]) / node.total_watts - 1) for node in healthy
        if profiles[node.name]["stored"]
    ]  # fmt: skip
    label = f"slurm, {offset:+g} s: "
    bars = [
        Bar(f"{label}hosts with a complete profile", sum(profiles[name]["stored"] for name in names), 3, at_least=True),
        Bar(f"{label}profiles in the store of the head", len(own), 3),
        Bar(f"{label}profiles in the store of a host", max(stored.values()), 1),
        Bar(f"{label}difference of the power of a host", max(wrong, default=1.0), _POWER),
        Bar(f"{label}hosts that are named with their fault", _named(reasons), 3, at_least=True),
        Bar(f"{label}exit code of the head, 1 for failed hosts", abs(code - 1), 0),
        Bar(f"{label}kills of the head", len(head.kills), kills, at_least=True, note=", ".join(head.kills)),
    ]
    return {"hosts": {name: row for name, *row in rows}, "seconds": seconds, "stored": stored}, bars


def _watts(head: Head, uid: str) -> float:
    (point,) = head.call("profiles", "show", uid)["points"]
    return float(point["power"]["mean_watts"]["mean"])


def _named(reasons: dict[str, str]) -> int:
    """Return how many of the three faults have the expected reason."""
    expected = {f"node{_DEAD}": "Slurm", f"node{_LACKS}": "0 of 1 devices *H100*", f"node{_LATE}": "its clock differs"}
    return sum(words in reasons[name] for name, words in expected.items())
