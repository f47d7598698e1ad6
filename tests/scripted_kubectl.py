"""A kubectl of a scripted cluster that runs the container of each Job at once on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripted_engines import in_background, install, state


def install_kubectl(folder: Path, nodes: dict[str, str]) -> Path:
    """Install a cluster; `nodes` has the fault of each node: "" for none, `unschedulable`, `image` or `evicted`."""
    return install(folder, "scripted_kubectl", ("kubectl",), {"nodes": nodes, "jobs": {}})


def play(_name: str, words: list[str], folder: str) -> None:
    """Answer one command."""
    with state(folder) as found:
        found["calls"].append(words)
        plain = [word for word in words if not word.startswith("--")]
        globals()[f"_{plain[0]}"](found, plain[1:], folder)


def _create(found: dict[str, Any], _words: list[str], folder: str) -> None:
    refused = []
    for job in json.load(sys.stdin)["items"]:
        name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        fault = found["nodes"].get(terms[0]["matchFields"][0]["values"][0], "absent")
        if fault == "absent" or name in found["jobs"]:
            refused.append(f'Error from server: jobs.batch "{name}" is refused')
            continue
        found["jobs"][name] = {"manifest": job, "fault": fault, "ended": False}
        if not fault:
            script = pod["containers"][0]["command"][2].replace("$$(", "$(")
            script = re.sub(r"/tmp/(?=\$uid|n\d-)", f"{folder}/", script)
            log = Path(folder) / f"{name}.log"
            log.touch()
            found["running"].append(
                in_background(lambda script=script, log=log, name=name: _run(script, log, name, folder))
            )
    if refused:
        sys.exit("\n".join(refused))


def _run(script: str, log: Path, name: str, folder: str) -> None:
    with log.open("ab") as stream:
        subprocess.run(["/bin/sh", "-c", script], stdout=stream, stderr=stream, check=False)
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
    kind = "Failed" if job["fault"] else "Complete"
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
    }[job["fault"]]
    return [{"kind": "Job", "metadata": {"name": name}, "status": {"conditions": conditions}}, pod]


def _logs(_found: dict[str, Any], words: list[str], folder: str) -> None:
    path = Path(folder) / f"{words[0].removesuffix('-x1')}.log"
    sys.stdout.write(path.read_text() if path.exists() else "")


def _delete(found: dict[str, Any], words: list[str], _folder: str) -> None:
    found["jobs"].pop(words[1], None)
