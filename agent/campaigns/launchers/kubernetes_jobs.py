"""The manifest of a Kubernetes Job that runs the tasks of one host on its node, and the reader of its log; pure.

The pod has no privilege: no capability, no namespace of the node, no token of the cluster. Container runtimes hide
powercap, so the folders of sysfs with sensors are mounted read-only below /host/sys. Others are not: a read-only mount
leaves file systems below it writable, such as cgroups and debugfs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.campaigns.records import Task

_Json = dict[str, Any]
LABEL = "app.kubernetes.io/name=inferometer-campaign"
_LABEL_NAME, _, _LABEL_VALUE = LABEL.partition("=")
CONTAINER = "inferometer"
_SCRATCH = "/tmp"  # noqa: S108  a volume of the pod alone
_SYSFS = ("bus", "class", "devices")
"""The folders of sysfs that families of sensors read; links between them are relative."""
_DAYS_SECONDS = 7 * 86400
"""A Job that no head collects is deleted after this time."""
_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_SCRIPT = """umask 077
task() {
  uid=$1 seconds=$2 given=$3
  shift 3
  echo "inferometer-begun $uid"
  printf %s "$given" | timeout --kill-after=30 "$seconds" "$@" 2>&1
  printf '\\ninferometer-code %s %s\\n' "$uid" $?
  [ ! -e "/tmp/$uid" ] || base64 -w 120 "/tmp/$uid"
  echo "inferometer-end $uid"
  rm -f "/tmp/$uid"
}
sleep 5
"""
"""The pause lets the head see an empty log, so that the bounds of the clock are narrow."""


@dataclass(frozen=True, slots=True)
class PodOptions:
    """`image` has a digest. `limits` are resources such as nvidia.com/gpu; `user` is the user of the container."""

    image: str
    namespace: str
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    runtime_class: str = ""
    user: int = 0


def job_name(tasks: Sequence[Task]) -> str:
    """Return the name of the Job of a host's tasks: the same tasks have the same name, so that no Job runs twice."""
    return f"inferometer-{hashlib.sha256(' '.join(task.uid for task in tasks).encode()).hexdigest()[:20]}"


def manifest(tasks: Sequence[Task], options: PodOptions) -> _Json:
    """Return the Job of one host: it starts once, and ends after the sum of its tasks' limits."""
    host = tasks[0].host
    labels = {_LABEL_NAME: _LABEL_VALUE}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(tasks), "namespace": options.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _DAYS_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(tasks, host.address, options)},
        },
    }


def _pod(tasks: Sequence[Task], node: str, options: PodOptions) -> _Json:
    named = {"key": "metadata.name", "operator": "In", "values": [node]}
    short = node.partition(".")[0]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "activeDeadlineSeconds": round(sum(task.timeout_seconds + 60 for task in tasks)),
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [named]}]}
            }
        },
        **({"hostname": short} if _HOST_NAME.fullmatch(short) else {}),
        **({"nodeSelector": dict(options.node_selector)} if options.node_selector else {}),
        **({"tolerations": [dict(each) for each in options.tolerations]} if options.tolerations else {}),
        **({"runtimeClassName": options.runtime_class} if options.runtime_class else {}),
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "machine-id", "hostPath": {"path": "/etc/machine-id", "type": "File"}},
            *({"name": f"sys-{name}", "hostPath": {"path": f"/sys/{name}", "type": "Directory"}} for name in _SYSFS),
        ],
        "containers": [_container(tasks, options)],
    }


def _container(tasks: Sequence[Task], options: PodOptions) -> _Json:
    return {
        "name": CONTAINER,
        "image": options.image,
        "command": ["/bin/sh", "-c", _literal(script_of(tasks))],
        "env": [
            {"name": "INFEROMETER_PATH_SYSFS", "value": "/host/sys"},
            {"name": "XDG_STATE_HOME", "value": f"{_SCRATCH}/state"},
            {"name": "HOME", "value": _SCRATCH},
            *({"name": name, "value": _literal(text)} for text, name in _given(tasks).items()),
        ],
        **({"resources": {"limits": dict(options.limits)}} if options.limits else {}),
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": options.user,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": _SCRATCH},
            {"name": "machine-id", "mountPath": "/etc/machine-id", "readOnly": True},
            *({"name": f"sys-{name}", "mountPath": f"/host/sys/{name}", "readOnly": True} for name in _SYSFS),
        ],
    }


def _literal(text: str) -> str:
    """Return a text without variables of Kubernetes, which replaces $(NAME) in a command or a value, and $$( by $(."""
    return text.replace("$(", "$$(")


def script_of(tasks: Sequence[Task]) -> str:
    """Return the script of the container: it prints each result in base64 between two lines."""
    given = _given(tasks)
    return _SCRIPT + "".join(f"{_line(task, given)}\n" for task in tasks)


def _line(task: Task, given: Mapping[str, str]) -> str:
    beginning = shlex.join(("task", task.uid, f"{task.timeout_seconds:.0f}"))
    return f'{beginning} "${given[task.given]}" {shlex.join(task.command(f"{_SCRATCH}/{task.uid}"))}'


def _given(tasks: Sequence[Task]) -> dict[str, str]:
    """Return the variable of each standard input: the words of the script are in the list of processes of the node."""
    texts = dict.fromkeys(task.given for task in tasks)
    return {text: f"CAMPAIGN_GIVEN_{number}" for number, text in enumerate(texts)}


@dataclass(frozen=True, slots=True)
class Logged:
    """The end of a task in a log: its exit code, its result and the messages before it."""

    code: int
    result: bytes
    messages: str


def logged(log: str, uid: str) -> Logged | None:
    """Return the end of a task, None if the log has none. Raises ValueError if the result is damaged."""
    name = re.escape(uid)
    found = re.search(
        rf"^inferometer-code {name} (\d{{1,3}})\n([A-Za-z0-9+/=\n]*)^inferometer-end {name}$", log, re.MULTILINE
    )
    if found is None:
        return None
    begun = re.search(rf"^inferometer-begun {name}\n", log, re.MULTILINE)
    try:
        result = base64.b64decode(found[2], validate=False)
    except binascii.Error as error:
        raise ValueError(f"its result in the log is damaged ({error})") from error
    return Logged(int(found[1]), result, log[begun.end() if begun else 0 : found.start()])
