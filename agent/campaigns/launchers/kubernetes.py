"""The launcher `kubernetes`: one Job for each node, through kubectl; results come back in the log of its pod."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers.job_notes import JobNotes, by_host
from agent.campaigns.launchers.kubernetes_cluster import Cluster
from agent.campaigns.launchers.kubernetes_jobs import PodOptions, job_name, manifest
from agent.campaigns.launchers.kubernetes_waiting import WaitingHost, log_readers
from agent.campaigns.launchers.result_folder import check_uids
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from agent.campaigns.fields import Fields
    from agent.campaigns.records import Notes, Outcome, Task

_POLL_SECONDS = 1.0
_HOSTS_PER_SECOND = 100
"""The cluster's answer has some kilobytes for each host, so more hosts are asked for less often."""
_SILENT_SECONDS = 600.0
"""The time that the cluster may not answer."""
_IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class KubernetesLauncher:
    """Runs the tasks of each host in a Job on its node."""

    pods: PodOptions
    cluster: Cluster
    wait_seconds: float

    def members(self, group: str) -> Sequence[str]:
        """Return the nodes that a label selector such as `accelerator=h100` matches."""
        return self.cluster.nodes(group)

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the manifest of each host."""
        self._check(tasks)
        return {host: json.dumps(manifest(own, self.pods), indent=2) for host, own in by_host(tasks).items()}

    def run(self, tasks: Sequence[Task], notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Create the Jobs that are missing, and yield the outcome of each task as the log of its pod shows it."""
        self._check(tasks)
        waiting, refused = self._created(by_host(tasks), JobNotes(notes))
        for name, reason in refused.items():
            yield from waiting.pop(name).lost(reason, proceed)
        answered = time.monotonic()
        with log_readers(self.cluster) as read:
            while waiting:
                try:
                    states, answered = self.cluster.states(), time.monotonic()
                except CampaignError as error:
                    if time.monotonic() - answered > _SILENT_SECONDS:
                        raise CampaignError(f"{error}. Then continue with `inferometer campaign resume`") from error
                else:
                    for name, host in list(waiting.items()):
                        yield from host.advance(states.get(host.job), self.wait_seconds, read, proceed)
                        if not host.tasks:
                            del waiting[name]
                            self._end(host)
                time.sleep(max(_POLL_SECONDS, len(waiting) / _HOSTS_PER_SECOND))

    def _end(self, host: WaitingHost) -> None:
        if not host.keeps_job:
            self.cluster.delete(host.job)

    def _created(
        self, hosts: Mapping[str, list[Task]], known: JobNotes
    ) -> tuple[dict[str, WaitingHost], dict[str, str]]:
        """Create the Jobs that do not exist; return those of all hosts, and why hosts have none."""
        existing = self.cluster.states()
        noted = {host: known.job_of(own) for host, own in hosts.items()}
        jobs = {host: job if (job := noted[host]) in existing else job_name(own) for host, own in hosts.items()}
        missing = {host: own for host, own in hosts.items() if jobs[host] not in existing}
        known.put({jobs[host]: own for host, own in hosts.items() if host in missing or noted[host] != jobs[host]})
        refused = self._create({host: manifest(own, self.pods) for host, own in missing.items()})
        now = time.monotonic()
        waiting = {
            host: WaitingHost(jobs[host], list(own), known.submitted_ns(own[0]), now) for host, own in hosts.items()
        }
        return waiting, refused

    def _create(self, manifests: Mapping[str, dict[str, Any]]) -> dict[str, str]:
        """Create Jobs; return why Kubernetes refuses those of some hosts."""
        refused: dict[str, str] = {}
        if not manifests:
            return refused
        try:
            self.cluster.create(manifests.values())
        except CampaignError:
            existing = self.cluster.states()
            for host, each in manifests.items():
                if each["metadata"]["name"] not in existing:
                    try:
                        self.cluster.create([each])
                    except CampaignError as error:
                        refused[host] = str(error)
        return refused

    def _check(self, tasks: Sequence[Task]) -> None:
        check_uids(tasks)
        for task in tasks:
            if not _NODE.fullmatch(task.host.address):
                raise CampaignError(f"host {task.host.name}: {quoted(task.host.address)} is not the name of a node")


def launcher(fields: Fields) -> KubernetesLauncher:
    """Return the launcher with its options: those of the pods, and the context and the namespace of kubectl."""
    image, namespace = fields.text("image"), fields.text("namespace", "default")
    if not _IMAGE.fullmatch(image):
        raise fields.error("image", f"{quoted(image)} has no digest: write registry/inferometer@sha256:... in full")
    if not _NODE.fullmatch(namespace):
        raise fields.error("namespace", f"{quoted(namespace)} is not the name of a namespace")
    context = fields.text("context", "")
    pods = PodOptions(
        image=image,
        namespace=namespace,
        node_selector=_texts(fields, "node_selector"),
        tolerations=tuple(_toleration(fields, each) for each in fields.tables("tolerations", 16)),
        limits=_texts(fields, "limits"),
        runtime_class=fields.text("runtime_class", ""),
        user=fields.whole("user", 0, 0, 2**31 - 1),
    )
    kubectl = ("kubectl", f"--namespace={namespace}", *((f"--context={context}",) if context else ()))
    return KubernetesLauncher(pods, Cluster(kubectl), fields.real("wait_minutes", 60.0, 0.0, 60.0 * 24 * 30) * 60)


def _texts(fields: Fields, key: str) -> dict[str, str]:
    """Return a table of texts; numbers become texts, as those of resources."""
    found = {}
    for name, value in fields.table(key).items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise fields.error(key, f"{quoted(name)} = {quoted(value)} is not a text or an integer")
        found[name] = str(value)
    return found


def _toleration(fields: Fields, table: Mapping[str, Any]) -> dict[str, str]:
    known = ("key", "operator", "value", "effect")
    for name, value in table.items():
        if name not in known or not isinstance(value, str):
            problem = f"{quoted(name)} = {quoted(value)}: the keys are {', '.join(known)}, with texts"
            raise fields.error("tolerations", problem)
    return dict(table)
