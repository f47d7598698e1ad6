"""Runs a campaign with Ansible on three hosts in networks of their own, each with sshd, a store and a machine id.

The head is killed at each stage, and resumes. A word of the workload is a template that Ansible must not evaluate.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from campaign_head import STAGES, Head, profiles_of
from campaign_lab import Lab, Node, lab
from debian_packages import unpacked
from programs import PIP, built, run
from reporting import Bar, table

if TYPE_CHECKING:
    from collections.abc import Sequence

_Json = dict[str, Any]
ANSIBLE = "ansible-core==2.19.14"
_POWER = 0.05
_TEMPLATE = "{{ 7 * 7 }}{% if true %}$(id)"
_CAMPAIGN = """name = "ansible"
other_load = 1.0
mode = "quick"
require_energy = true

[launcher]
kind = "ansible"
inventory = "inventory.ini"
limit = "!node9"
forks = 10

[[host]]
group = "machines"
program = "{program}"
devices = {{ "*H100*" = 1 }}

[[workload]]
name = "command"
options = {{ idle_seconds = 1, window_seconds = 1, repeats = 3, warmup_seconds = 0.1, count = 10, force = true }}
words = ["sh", "-c", "sleep 0.2; printf %s \\"$1\\" >{state}/word", "-", "{template}"]
"""
_SSHD = """Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp
PidFile none
"""


def environment() -> Path:
    """Return the environment of Ansible."""

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder / "venv")
        run(folder / "venv/bin/python", *PIP, "install", ANSIBLE)

    return built("ansible", ANSIBLE, install) / "venv/bin"


def prove(quick: bool) -> tuple[_Json, list[Bar]]:
    """Run the campaign; return its figures and bars."""
    programs, root = environment(), unpacked("sshd", "openssh-server", "openssh-client")
    stages = [] if quick else list(STAGES)[1:]  # the launcher has no jobs that it could note
    with TemporaryDirectory(prefix="inferometer-ansible-") as name:
        folder = Path(name)
        nodes = [Node(number, folder / f"node{number}") for number in range(1, 4)]
        with lab(folder, [root], nodes) as made:
            _start_sshd(made)
            file, home = folder / "campaign.toml", folder / "home"
            home.mkdir()
            (folder / "inventory.ini").write_text(_inventory(made), encoding="utf-8")
            text = _CAMPAIGN.format(program=made.program, state=made.state, template=_TEMPLATE)
            file.write_text(text, encoding="utf-8")
            path = f"{programs}:{os.environ['PATH']}"
            head = Head(made, file, home, {"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"})
            began = time.monotonic()
            code = head.to_the_end(stages, lambda _: None)
            seconds = time.monotonic() - began
            return _verdict(made, head, code, seconds)


def _start_sshd(made: Lab) -> None:
    """Start sshd on every host, with one key of the hosts and one of the user."""
    folder = made.folder
    folder.chmod(0o755)
    for name in ("host_key", "user_key"):
        line = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        subprocess.run(line, check=True)
    key = (folder / "host_key.pub").read_text(encoding="ascii")
    (folder / "known_hosts").write_text("".join(f"{node.address} {key}" for node in made.nodes), encoding="ascii")
    (folder / "sshd_config").write_text(_SSHD.format(folder=folder), encoding="ascii")
    for node in made.nodes:
        made.start(f"{node.name}-sshd", node.inside("/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"))
    probe = ("ssh", *_options(folder), f"root@{made.nodes[-1].address}", "true")
    deadline = time.monotonic() + 20
    while subprocess.run(made.inside(*probe), check=False, capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise SystemExit("sshd did not start")
        time.sleep(0.2)


def _options(folder: Path) -> Sequence[str]:
    return ("-i", str(folder / "user_key"), "-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "BatchMode=yes")


def _inventory(made: Lab) -> str:
    lines = [f"{node.name} ansible_host={node.address}" for node in made.nodes]
    options = f"-o UserKnownHostsFile={made.folder}/known_hosts"
    return "\n".join(
        (
            "[machines]",
            *lines,
            "node9 ansible_host=10.77.9.2",
            "[machines:vars]",
            "ansible_user=root",
            f"ansible_remote_tmp={made.state}/ansible",
            f"ansible_ssh_private_key_file={made.folder}/user_key",
            f"ansible_ssh_common_args='{options}'",
            f"ansible_python_interpreter={sys._base_executable}",  # type: ignore[attr-defined]  # noqa: SLF001
            "",
        )
    )


def _verdict(made: Lab, head: Head, code: int, seconds: float) -> tuple[_Json, list[Bar]]:
    """Return the figures and bars."""
    result = head.call("campaign", "status", str(head.file))
    profiles = {each["host"]: each for each in result["profiles"]}
    rows = [(name, each["status"], each["reason"]) for name, each in profiles.items()]
    table("Ansible", ("HOST", "PROFILE", "REASON"), rows)
    stored = [len(profiles_of(made, node)) for node in made.nodes]
    words = [(node.folder / "state/word").read_text(encoding="utf-8") for node in made.nodes]
    shown = [head.call("profiles", "show", each["uid"]) for each in profiles.values() if each["stored"]]
    watts = [float(each["points"][0]["power"]["mean_watts"]["mean"]) for each in shown]
    wrong = [abs(found / node.total_watts - 1) for found, node in zip(watts, made.nodes, strict=False)]
    return {"seconds": seconds, "profiles": profiles, "watts": watts}, [
        Bar("ansible: hosts with a complete profile", len(shown), 3, at_least=True),
        Bar("ansible: hosts of the campaign, without that outside of the limit", len(profiles), 3),
        Bar("ansible: profiles in the store of a host", max(stored), 1),
        Bar("ansible: difference of the power of a host", max(wrong, default=1.0), _POWER),
        Bar("ansible: words that were evaluated as templates", sum(word != _TEMPLATE for word in words), 0),
        Bar("ansible: exit code of the head", abs(code), 0),
    ]
