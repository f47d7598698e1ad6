"""The Job of a host on Kubernetes: its manifest, its privileges and its name, and the results in its log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.campaigns.launchers.kubernetes_jobs import job_name, logged, manifest
from agent.campaigns.records import Host, Task
from campaign_tasks import program, tasks_of
from scripted_kubectl import launcher

GOLDEN = Path(__file__).parents[3] / "golden/campaign-kubernetes.json"


def test_the_pod_has_no_privilege_and_reads_sensors_only(tmp_path: Path) -> None:
    tasks = tasks_of(program(tmp_path), {"gpu-1": ("measure", "a")})
    job = manifest(tasks, launcher(limits={"nvidia.com/gpu": 8}).pods)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsUser": 0,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostPID", "hostIPC", "hostNetwork"} & set(pod)
    assert pod["automountServiceAccountToken"] is False
    of_node = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
    assert set(of_node.values()) == {"/etc/machine-id", "/sys/bus", "/sys/class", "/sys/devices"}
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert all(mounts[name]["readOnly"] for name in of_node)
    assert {"name": "INFEROMETER_PATH_SYSFS", "value": "/host/sys"} in container["env"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert job["spec"]["backoffLimit"] == 0


def test_the_manifests_of_three_nodes_are_the_golden_ones() -> None:
    """After an intended change: INFEROMETER_WRITE_GOLDEN=1 pytest of this file, then read the difference."""
    tasks = []
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        host = Host(name, name)
        tasks += [
            Task(f"RUN-{name}-facts", host, ("campaign", "facts"), (), "-o", "", 300.0),
            Task(
                f"RUN-{name}",
                host,
                ("profile", "transformer", "--quick", "--id", f"RUN-{name}"),
                timeout_seconds=3600.0,
            ),
        ]
    texts = launcher(node_selector={"accelerator": "h100"}).render(tasks)
    assert list(texts) == ["gpu-1", "gpu-2", "gpu-3"]
    found = f"[{','.join(texts.values())}]\n"
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_the_same_tasks_have_the_same_job(tmp_path: Path) -> None:
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", "a")})
    assert job_name(tasks) == job_name(list(tasks)) != job_name(tasks[:1])
    assert len(f"{job_name(tasks)}-x1y2z") <= 63


def test_a_log_without_the_end_of_a_task_has_no_result() -> None:
    assert logged("inferometer-begun u\ninferometer-code u 0\nYQ==\n", "u") is None
    assert logged("inferometer-code u 0\nYQ==\ninferometer-end u2\n", "u") is None


def test_a_damaged_result_in_a_log_is_an_error() -> None:
    with pytest.raises(ValueError, match="is damaged"):
        logged("inferometer-code u 0\nYQ=\ninferometer-end u\n", "u")


def test_the_messages_of_a_task_are_those_before_its_code() -> None:
    first = "inferometer-begun t\nother\ninferometer-code t 0\ninferometer-end t\n"
    log = f"{first}inferometer-begun u\nerror: x\ninferometer-code u 2\ninferometer-end u\n"
    found = logged(log, "u")
    assert found is not None
    assert (found.code, found.result, found.messages) == (2, b"", "error: x\n")
