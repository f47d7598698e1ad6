"""A kubectl of a scripted cluster that runs the container of each Job at once on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripted_engines import in_background, install, state

if TYPE_CHECKING:
    from agent.campaigns.launchers.kubernetes import KubernetesLauncher

IMAGE = f"registry.example/inferometer@sha256:{'0123456789abcdef' * 4}"
_RUNS = ("", "unreadable", "hangs")
"""The faults of nodes whose pods run."""


def install_kubectl(folder: Path, nodes: dict[str, str]) -> Path:
    """Install a cluster; `nodes` has the fault of each node, "" for none.

    They are `unschedulable`, `image`, `evicted`, and `unreadable` or `hangs`: the log of its pod is an error, or does
    not come.
    """
    return install(folder, "scripted_kubectl", ("kubectl",), {"nodes": nodes, "jobs": {}})


def launcher(**options: object) -> KubernetesLauncher:
    """Return a launcher with some options of its table."""
    from agent.campaigns.launchers import kubernetes
    from campaign_tasks import fields_of

    return kubernetes.launcher(fields_of(image=IMAGE, **options))


def play(_name: str, words: list[str], folder: str) -> None:
    """Answer one command."""
    with state(folder) as found:
        found["calls"].append(words)
        plain = [word for word in words if not word.startswith("--")]
        globals()[f"_{plain[0]}"](found, plain[1:], folder)
        hangs = plain[0] == "logs" and _fault(found, plain[1]) == "hangs"
    if hangs:
        time.sleep(1000)


def _fault(found: dict[str, Any], pod: str) -> str:
    """Return the fault that the node of a pod has now."""
    job = found["jobs"].get(pod.removesuffix("-x1"))
    return str(found["nodes"][job["node"]]) if job else ""


def _create(found: dict[str, Any], _words: list[str], folder: str) -> None:
    refused = []
    for job in json.load(sys.stdin)["items"]:
        name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        node = terms[0]["matchFields"][0]["values"][0]
        fault = found["nodes"].get(node, "absent")
        if fault == "absent" or name in found["jobs"]:
            refused.append(f'Error from server: jobs.batch "{name}" is refused')
            continue
        found["jobs"][name] = {"manifest": job, "node": node, "fault": fault, "ended": False}
        if fault in _RUNS:
            script = pod["containers"][0]["command"][2].replace("$$(", "$(").replace("\nsleep 5\n", "\n")
            script = re.sub(r"/tmp/(?=\$uid|n\d-)", f"{folder}/", script)
            own = {each["name"]: each["value"].replace("$$(", "$(") for each in pod["containers"][0]["env"]}
            variables = {**os.environ, **{each: own[each] for each in own if each.startswith("CAMPAIGN_")}}
            log = Path(folder) / f"{name}.log"
            log.touch()
            work = partial(_run, script, variables, log, name, folder)
            found["running"].append(in_background(work))
    if refused:
        sys.exit("\n".join(refused))


def _run(script: str, variables: dict[str, str], log: Path, name: str, folder: str) -> None:
    with log.open("ab") as stream:
        subprocess.run(["/bin/sh", "-c", script], env=variables, stdout=stream, stderr=stream, check=False)
    with state(folder) as found:
        if name in found["jobs"]:
            found["jobs"][name]["ended"] = True


def _get(found: dict[str, Any], words: list[str], _folder: str) -> None:
    if words[0] == "nodes":
        items = [{"kind": "Node", "metadata": {"name": name}} for name in found["nodes"]]
    else:
        items = [each for name, job in found["jobs"].items() for each in _objects(name, job)]
    sys.stdout.write(json.dumps({"kind": "List", "items": items}))


def _objects(name: str, job: dict[str, Any]) -> list[dict[str, Any]]:
    owner = {"name": f"{name}-x1", "ownerReferences": [{"kind": "Job", "name": name}]}
    pod: dict[str, Any] = {"kind": "Pod", "metadata": owner}
    ended = job["ended"] or job["fault"] == "evicted"
    fault = "" if job["fault"] in _RUNS else job["fault"]
    kind = "Failed" if fault else "Complete"
    conditions = [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}] if ended else []
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes\nfit"}
    pod["status"] = {
        "": {"phase": "Succeeded" if ended else "Running", "containerStatuses": [{"state": {"running": {}}}]},
        "unschedulable": {"phase": "Pending", "conditions": [unscheduled]},
        "image": {
            "phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such digest"}}}],
        },
        "evicted": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
    }[fault]
    return [{"kind": "Job", "metadata": {"name": name}, "status": {"conditions": conditions}}, pod]


def _logs(found: dict[str, Any], words: list[str], folder: str) -> None:
    if _fault(found, words[0]) == "unreadable":
        sys.exit("Error from server: Get https://10.0.0.9:10250/containerLogs: dial tcp: i/o timeout")
    path = Path(folder) / f"{words[0].removesuffix('-x1')}.log"
    sys.stdout.write(path.read_text() if path.exists() else "")


def _delete(found: dict[str, Any], words: list[str], _folder: str) -> None:
    found["jobs"].pop(words[1], None)
