"""A campaign on a scripted cluster: one Job a node, faults of nodes, and heads that are killed."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import kubernetes, kubernetes_cluster, kubernetes_waiting
from agent.campaigns.launchers.kubernetes_cluster import JobState, Log
from agent.campaigns.launchers.kubernetes_jobs import manifest
from agent.campaigns.launchers.kubernetes_waiting import WaitingHost
from agent.campaigns.records import Host, Task
from campaign_tasks import Head, Notes, fields_of, program, runs_of, tasks_of
from scripted_engines import end_all, state
from scripted_kubectl import IMAGE, install_kubectl, launcher
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cluster"
    nodes = {
        "n1": "",
        "n2": "",
        "n3": "evicted",
        "n4": "unschedulable",
        "n5": "image",
        "n7": "unreadable",
        "n8": "hangs",
    }
    monkeypatch.setenv("PATH", f"{install_kubectl(folder, nodes)}:/usr/bin:/bin")
    monkeypatch.setattr(kubernetes, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(kubernetes_waiting, "_BETWEEN_SECONDS", 0.1)
    monkeypatch.setattr(kubernetes_waiting, "_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(kubernetes_waiting, "_HOPELESS_SECONDS", 0.3)
    yield folder
    end_all(folder)


def test_each_host_has_a_job_whose_log_brings_the_results(tmp_path: Path, cluster: Path) -> None:
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", "a"), "n2": ("measure", "b" * 500)})
    head = Head()
    found = head.all_of(launcher().run(tasks, Notes(), head.proceed))
    assert found["n1-profile"].result == b"tariff of n1\na"
    assert found["n2-profile"].result == b"tariff of n2\n" + b"b" * 500
    assert {outcome.code for outcome in found.values()} == {0}
    with state(cluster) as seen:
        assert seen["jobs"] == {}
        assert all("--namespace=default" in call for call in seen["calls"])


def test_a_host_that_fails_has_a_reason_and_does_not_fail_the_others(tmp_path: Path, cluster: Path) -> None:
    words = {f"n{number}": ("measure", "a") for number in range(2, 7)}
    head = Head()
    tasks = tasks_of(program(tmp_path), {"n1": ("fail",), **words})
    found = head.all_of(launcher(wait_minutes=0.01).run(tasks, Notes(), head.proceed))
    assert (found["n1-profile"].code, found["n2-profile"].code) == (3, 0)
    assert "error: no engine" in found["n1-profile"].errors
    assert "Evicted: The node was low on resource" in found["n3-facts"].errors
    assert "Unschedulable: 0/3 nodes" in found["n4-facts"].errors
    assert "ErrImagePull: no such digest" in found["n5-facts"].errors
    assert "is refused" in found["n6-facts"].errors
    with state(cluster) as seen:
        assert seen["jobs"] == {}


@pytest.mark.parametrize("fault", ["n7", "n8"])
def test_a_log_that_cannot_be_read_delays_no_other_host(
    fault: str, tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_cluster, "_LOG_SECONDS", 5.0)
    head = Head()
    outcomes = launcher().run(
        tasks_of(program(tmp_path), {fault: ("measure", "a"), "n1": ("measure", "b")}), Notes(), head.proceed
    )
    assert [next(outcomes).task.uid for _ in range(2)] == ["n1-facts", "n1-profile"]
    with state(cluster) as seen:
        seen["nodes"][fault] = ""
    assert {uid: each.code for uid, each in head.all_of(outcomes).items()} == {
        f"{fault}-facts": 0,
        f"{fault}-profile": 0,
    }


def test_a_host_whose_log_stays_unreadable_is_lost_and_its_job_stays(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_waiting, "_UNREADABLE_SECONDS", 0.5)
    script, notes, head = program(tmp_path), Notes(), Head()
    words = {"n1": ("measure", "b"), "n2": ("wait",)}
    tasks = tasks_of(script, words)
    outcomes = launcher().run(tasks, notes, head.proceed)
    found = [next(outcomes)]
    while {each.task.uid for each in found} < {"n1-facts", "n1-profile", "n2-facts"}:
        found.append(next(outcomes))
    with state(cluster) as seen:
        seen["nodes"]["n2"] = "unreadable"
    (lost,) = outcomes
    assert lost.detached
    assert "cannot be read for" in lost.errors
    assert "dial tcp: i/o timeout" in lost.errors
    with state(cluster) as seen:
        assert [job["node"] for job in seen["jobs"].values()] == ["n2"]


def test_a_log_that_is_too_large_is_a_reason(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_cluster, "_LOG_BYTES", 8)
    (cluster / "job.log").write_text("x" * 8)
    with pytest.raises(CampaignError, match="larger than"):
        launcher().cluster.log("job-x1", threading.Event())


@pytest.mark.usefixtures("cluster")
def test_a_pending_pod_is_no_bound_of_the_clock_and_an_empty_log_is_one(tmp_path: Path) -> None:
    """The state of a container is reported seconds late, so a command may have begun while its pod was pending."""
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", "a")})
    host = WaitingHost("job", list(tasks), 5, 0.0)
    logs = [Log("", 100.0, 1000, 1001), Log("inferometer-begun n1-facts\n", 101.0, 2000, 2001)]
    logs.append(Log(f"{logs[1].text}inferometer-code n1-facts 0\ninferometer-end n1-facts\n", 102.0, 3000, 3001))

    def read(_pod: str) -> Future[Log]:
        done: Future[Log] = Future()
        done.set_result(logs.pop(0) if len(logs) > 1 else logs[0])
        return done

    states = [JobState("pending", "", "no node"), *(JobState("running", "pod", "") for _ in range(4))]
    found = [each for state in states for each in host.advance(state, 1e9, read, lambda _: True)]
    assert [(each.task.uid, each.sent_ns, each.received_ns) for each in found] == [("n1-facts", 1000, 3001)]


def test_a_node_that_pulls_an_image_late_is_not_hopeless_before_the_pull_fails() -> None:
    host = WaitingHost("job", tasks_of(Path("x"), {"n1": ("facts",)}), 5, time.monotonic() - 1000.0)
    failing = JobState("pending", "pod", "ErrImagePull", is_hopeless=True)
    assert list(host.advance(failing, 3600.0, no_log, lambda _: True)) == []
    assert list(host.advance(JobState("pending", "pod", "x"), 3600.0, no_log, lambda _: True)) == []
    assert len(list(host.advance(JobState("pending", "pod", "x"), 900.0, no_log, lambda _: True))) == 2


def no_log(_pod: str) -> Future[Log]:
    raise AssertionError("a pending pod has no log")


def test_a_refused_host_loses_its_job(tmp_path: Path, cluster: Path) -> None:
    head = Head(refused=("n1",))
    found = head.all_of(launcher().run(tasks_of(program(tmp_path), {"n1": ("wait",)}), Notes(), head.proceed))
    assert set(found) == {"n1-facts"}
    with state(cluster) as seen:
        assert seen["jobs"] == {}


@pytest.mark.usefixtures("cluster")
def test_a_new_head_attaches_to_the_jobs_of_the_last_one(tmp_path: Path) -> None:
    script, notes, head = program(tmp_path), Notes(), Head()
    tasks = tasks_of(script, {"n1": ("measure", "a"), "n2": ("measure", "b")})
    first = launcher().run(tasks, notes, head.proceed)
    next(first)
    first.close()
    await_true(lambda: runs_of(script) == 2)
    found = head.all_of(launcher().run(tasks, notes, head.proceed))
    assert set(found) == {task.uid for task in tasks}
    assert runs_of(script) == 2


def test_a_job_that_was_deleted_is_named(tmp_path: Path, cluster: Path) -> None:
    head = Head()
    outcomes = launcher().run(tasks_of(program(tmp_path), {"n1": ("wait",)}), Notes(), head.proceed)
    next(outcomes)
    with state(cluster) as seen:
        seen["jobs"].clear()
    (lost,) = outcomes
    assert lost.code is None
    assert "was deleted" in lost.errors


@pytest.mark.usefixtures("cluster")
def test_words_are_neither_code_of_the_shell_nor_variables_of_kubernetes(tmp_path: Path) -> None:
    hostile = "$(HOME)$$(HOME) $(touch x)' `touch y` \"\\"
    head = Head()
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", hostile)})
    text = json.dumps(manifest(tasks, launcher().pods))
    assert "$(" not in text.replace("$$(", "")
    found = head.all_of(launcher().run(tasks, Notes(), head.proceed))
    assert found["n1-profile"].result.decode() == f"tariff of n1\n{hostile}"


@pytest.mark.usefixtures("cluster")
def test_the_standard_input_is_no_word_of_a_process_and_arrives_as_it_is(tmp_path: Path) -> None:
    prices, head = "price = 0.25 # $(HOME) $$(HOME) ' \" \\ %s\n\n", Head()
    tasks = [replace(task, given=prices) for task in tasks_of(program(tmp_path), {"n1": ("measure", "a")})]
    (container,) = manifest(tasks, launcher().pods)["spec"]["template"]["spec"]["containers"]
    assert "price" not in json.dumps(container["command"])
    assert head.all_of(launcher().run(tasks, Notes(), head.proceed))["n1-profile"].result.decode() == f"{prices}a"


@pytest.mark.usefixtures("cluster")
def test_messages_without_the_end_of_a_line_hide_no_result(tmp_path: Path) -> None:
    script, head = tmp_path / "inferometer", Head()
    script.write_text('#!/bin/sh\nprintf "half a line" >&2\n')
    script.chmod(0o755)
    found = head.all_of(launcher().run(tasks_of(script, {"n1": ("measure",)}), Notes(), head.proceed))
    assert found["n1-facts"].code == 0
    assert found["n1-facts"].errors.strip() == "half a line"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"image": "registry.example/inferometer:latest"}, "has no digest"),
        ({"image": IMAGE, "namespace": "-n"}, "not the name of a namespace"),
        ({"image": IMAGE, "limits": {"cpu": 1.5}}, "limits: 'cpu' = 1.5"),
        ({"image": IMAGE, "tolerations": [{"keys": "a"}]}, "tolerations: 'keys'"),
        ({}, "image is missing"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(table: dict[str, object], problem: str) -> None:
    with pytest.raises(CampaignError, match=problem):
        kubernetes.launcher(fields_of(**table))


@pytest.mark.parametrize("address", ["-n1", "N1", "n1,n2", "n1/x", ""])
def test_an_address_that_is_no_node_is_refused(address: str) -> None:
    with pytest.raises(CampaignError, match="is not the name of a node"):
        launcher().render([Task("u", Host("n1", address), ("facts",))])


def test_a_group_is_a_selector_of_labels(cluster: Path) -> None:
    assert launcher().members("accelerator=h100") == ["n1", "n2", "n3", "n4", "n5", "n7", "n8"]
    with state(cluster) as seen:
        assert "--selector=accelerator=h100" in seen["calls"][-1]
