"""An ansible-playbook that plays the playbook of a campaign on this machine, as far as it needs no Ansible."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from scripted_engines import install, state


def install_ansible(folder: Path, hosts: dict[str, str]) -> Path:
    """Install Ansible with an inventory; `hosts` has the fault of each host: "" for none, `unreachable` or `absent`."""
    return install(folder, "scripted_ansible", ("ansible", "ansible-playbook"), {"hosts": hosts})


class Unsafe(str):
    """A text that Ansible takes as it is."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!unsafe", lambda loader, node: Unsafe(loader.construct_scalar(node)))


def load(text: str) -> Any:
    """Read YAML with `!unsafe` texts."""
    return yaml.load(text, _Loader)


def play(name: str, words: list[str], folder: str) -> None:
    """Answer one command."""
    with state(folder) as found:
        found["calls"].append([name, *words])
        hosts: dict[str, str] = found["hosts"]
    if name == "ansible":
        sys.stdout.write("".join((f"  hosts ({len(hosts)}):\n", *(f"    {host}\n" for host in hosts))))
        return
    book = Path(words[-1])
    limit = next(word for word in words if word.startswith("--limit=@")).partition("@")[2]
    (run,) = load(book.read_text())
    assert load(book.with_name("task.yml").read_text())
    chosen = Path(limit).read_text().split()
    with ThreadPoolExecutor(len(chosen)) as pool:
        for host in chosen:
            pool.submit(_play, host, hosts.get(host, "absent"), run["vars"], folder)
    sys.stdout.flush()


def _play(host: str, fault: str, variables: dict[str, Any], folder: str) -> None:
    if fault == "unreachable":
        message = {"changed": False, "msg": 'Failed to connect: "No route"\nto host', "unreachable": True}
        sys.stdout.write(f"fatal: [{host}]: UNREACHABLE! => {json.dumps(message)}\n")
        return
    if fault == "absent":
        sys.stdout.write("[WARNING]: Could not match supplied host pattern, ignoring\n")
        return
    results, remote = Path(variables["campaign_results"]), Path(tempfile.mkdtemp(dir=folder))
    for task in variables["campaign_tasks"][host]:
        local = results / task["uid"]
        local.with_name(f"{task['uid']}.begun").touch()
        argv = [*task["before"], str(remote / task["uid"]), *task["after"]]
        done = subprocess.run(  # a session of its own, as the workers of Ansible have
            argv, input=task["given"], capture_output=True, text=True, check=False, start_new_session=True
        )
        if (remote / task["uid"]).exists():
            shutil.copy(remote / task["uid"], local.with_name(f"{task['uid']}.result"))
        local.with_name(f"{task['uid']}.errors").write_text(done.stderr)
        local.with_name(f"{task['uid']}.code").write_text(str(done.returncode))
        decision = local.with_name(f"{task['uid']}.next")
        while not decision.exists():
            time.sleep(0.01)
        if decision.read_text() != "run":
            break
    shutil.rmtree(remote)
