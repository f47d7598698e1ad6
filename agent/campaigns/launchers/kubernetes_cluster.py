"""The calls of kubectl that a campaign makes, and the state of each Job."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.kubernetes_jobs import CONTAINER, LABEL
from agent.campaigns.launchers.processes import printed_by
from agent.campaigns.launchers.programs import output_of
from agent.runtime.text_input import quoted
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from threading import Event

_Json = dict[str, Any]
Phase = Literal["pending", "running", "ended"]
_HOPELESS = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"),
    *("CreateContainerError", "RunContainerError"),
}
"""Reasons of a waiting container that waiting rarely ends."""
_LOG_BYTES = 32 << 20
"""A node keeps 10 MiB of a log unless it is configured otherwise."""
_LOG_SECONDS = 45.0
_LONGEST_ERROR = 400
_CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a pod, read between two Unix times; `began` is the first of them by the monotonic clock."""

    text: str
    began: float
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a Job: its pod (empty before there is one), and the reason why it waits or has failed."""

    phase: Phase
    pod: str
    reason: str
    is_hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A namespace of a cluster, through kubectl with the user's access."""

    kubectl: tuple[str, ...]

    def create(self, manifests: Iterable[_Json]) -> None:
        """Create Jobs. Raises CampaignError if one is refused; the others exist then."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        output_of((*self.kubectl, "create", "-f", "-"), json.dumps(listed))

    def states(self) -> dict[str, JobState]:
        """Return the state of each Job of campaigns in the namespace. Raises CampaignError."""
        items = self._listed("get", "jobs,pods", f"--selector={LABEL}")
        pods = {owner: item for item in items if item["kind"] == "Pod" for owner in _owners(item)}
        jobs = (item for item in items if item["kind"] == "Job")
        return {name: _state(job, pods.get(name)) for job in jobs if (name := job["metadata"]["name"])}

    def log(self, pod: str, stop: Event) -> Log:
        """Return the log of a pod. Raises CampaignError, also if it does not come in time or is too large."""
        began, began_ns = time.monotonic(), time.time_ns()
        words = ("logs", pod, f"--container={CONTAINER}", f"--limit-bytes={_LOG_BYTES}")
        found = printed_by((*self.kubectl, *words), stop, _LOG_SECONDS, late="check the node and the API server")
        if found.code != 0:
            raise CampaignError(one_line(found.errors.strip())[-_LONGEST_ERROR:] or f"kubectl ended with {found.code}")
        if len(found.output) >= _LOG_BYTES:
            raise CampaignError(f"it is larger than {_LOG_BYTES >> 20} MiB: let the workload print less")
        return Log(found.output.decode(errors="replace"), began, began_ns, time.time_ns())

    def delete(self, job: str) -> None:
        """Delete a Job with its pod, if it exists."""
        with suppress(CampaignError):
            output_of(
                (*self.kubectl, "delete", "job", job, "--ignore-not-found", "--wait=false"), seconds=_CALL_SECONDS
            )

    def nodes(self, selector: str) -> Sequence[str]:
        """Return the nodes that a label selector matches. Raises CampaignError if there are none."""
        found = [item["metadata"]["name"] for item in self._listed("get", "nodes", f"--selector={selector}")]
        if not found:
            hint = "see `kubectl get nodes --show-labels`"
            raise CampaignError(f"group {quoted(selector)}: no node has these labels: {hint}")
        return found

    def _listed(self, *words: str) -> list[_Json]:
        try:
            found: list[_Json] = json.loads(output_of((*self.kubectl, *words, "--output=json")))["items"]
        except (ValueError, KeyError, TypeError) as error:
            raise CampaignError(f"kubectl {words[0]} printed no list of objects: {error}") from error
        return found


def _owners(item: _Json) -> Iterable[str]:
    return (each["name"] for each in item["metadata"].get("ownerReferences", ()) if each["kind"] == "Job")


def _state(job: _Json, pod: _Json | None) -> JobState:
    conditions = job.get("status", {}).get("conditions", ())
    ended = next((each for each in conditions if _holds(each, "Complete", "Failed")), None)
    if pod is None:
        reason = _text(ended) if ended else "Kubernetes has made no pod of the Job yet"
        return JobState("ended" if ended else "pending", "", reason)
    name, status = pod["metadata"]["name"], pod.get("status", {})
    containers: list[_Json] = status.get("containerStatuses") or [{}]
    container: _Json = containers[0].get("state", {})
    if status.get("phase") in {"Succeeded", "Failed"} or ended:
        why = container.get("terminated") or {}
        return JobState("ended", name, _text(status) or _text(why) or _text(ended or {}))
    if "running" in container:
        return JobState("running", name, "")
    waiting = container.get("waiting") or {}
    unscheduled: _Json = next((each for each in status.get("conditions", ()) if each.get("status") == "False"), {})
    return JobState("pending", name, _text(waiting) or _text(unscheduled), waiting.get("reason") in _HOPELESS)


def _holds(condition: _Json, *kinds: str) -> bool:
    return condition.get("type") in kinds and condition.get("status") == "True"


def _text(found: _Json) -> str:
    """Return the reason and the message of a part of a status, on one line."""
    return one_line(": ".join(str(found[key]) for key in ("reason", "message") if found.get(key)))
