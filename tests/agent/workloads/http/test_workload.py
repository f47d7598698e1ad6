"""Loads of one request on a scripted service, from a real workload process."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

import psutil
import pytest

from agent.workloads.axes import request
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.http.spec import HttpSpec
from agent.workloads.http.workload import check
from agent.workloads.parameter import settings_of
from agent.workloads.runner.client import WORKER_COMMAND, WorkloadProcess
from command import ROOT
from ports import free_port
from scripted_answers import Answer
from scripted_server import ScriptedServer
from waiting import await_true

pytestmark = pytest.mark.system

SERVER = ROOT / "tests/scripted_server.py"


def spec_of(url, **given):
    return request(HttpSpec, {"url": url, **given})[0]


def free_address():
    """Return a URL where nothing listens, and its port."""
    port = free_port()
    return f"http://127.0.0.1:{port}", port


@contextmanager
def loaded(url, **given):
    with WorkloadProcess() as process:
        ready = process.start(spec_of(url, **given), EngineSpec())
        yield process, ready


def test_requests_have_the_body_the_headers_and_the_query(tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{"inputs": [1]}', encoding="ascii")
    with ScriptedServer([Answer(first_seconds=0.01)], headers=("Server: Triton/2.4",)) as server:
        url = f"{server.url}/v2/models/x/infer?detail=1"
        with loaded(url, body=body, headers={"X-Model": "x"}, inferences_per_request=4) as (process, ready):
            process.prepare({"concurrency": 2})
            found = process.measure("serving", 0.3, 1)
        served = server.served[-1]
    assert (ready.engine, ready.version, ready.model_bytes) == ("Triton", "2.4", None)
    assert (served.path, served.body) == ("/v2/models/x/infer?detail=1", {"inputs": [1]})
    assert (served.headers["x-model"], served.headers["content-type"]) == ("x", "application/json")
    assert found.load.token_source == "none"
    assert found.inferences == 4 * len(found.load.requests)
    assert found.requests_in_window > found.inferences - 8
    assert {(each.outcome, each.first_ns, each.output_tokens) for each in found.load.requests} == {("ok", None, None)}


def test_an_open_loop_awaits_its_requests_before_it_reports():
    with ScriptedServer([Answer(first_seconds=0.05)]) as server, loaded(server.url, rate=(100.0,)) as (process, _):
        process.prepare({"rate": 100.0})
        found = process.measure("serving", 0.3, 1)
        await_true(lambda: all(each.end_ns for each in server.served))
    assert all(each.ok for each in found.load.requests)
    assert found.load.in_flight_end > 0


def test_another_status_than_the_expected_one_is_refused_before_the_load():
    with ScriptedServer([Answer(status=503)]) as server:
        with pytest.raises(WorkloadError, match="answered the request with http 503"), loaded(server.url):
            pass
        with loaded(server.url, expect_status=503) as (process, _):
            process.prepare({"concurrency": 1})
            assert process.measure("serving", 0.1, 2).inferences >= 2


def test_a_redirect_is_an_error_and_is_not_followed():
    with ScriptedServer() as other, ScriptedServer([Answer(status=302)], headers=(f"Location: {other.url}",)) as server:
        with pytest.raises(WorkloadError, match="http 302"), loaded(server.url):
            pass
        assert other.connections == 0


def test_a_closed_connection_is_replaced_and_the_retry_is_counted():
    """The server closes each connection after an answer, without a word about it."""
    with ScriptedServer(headers=("Connection: close",)) as server, loaded(server.url) as (process, _):
        process.prepare({"concurrency": 2})
        found = process.measure("serving", 0.2, 5)
    assert {each.outcome for each in found.load.requests} == {"ok"}
    assert server.connections > len(found.load.requests)


def test_a_header_from_a_file_does_not_go_to_another_host_in_plain_text(tmp_path):
    with pytest.raises(WorkloadError, match="the header X-Own is not sent"):
        check(spec_of("http://192.0.2.1:9", headers={"X-Own": f"@{tmp_path}/key"}), EngineSpec(), [])


def test_the_command_of_the_server_is_started_and_ended(tmp_path):
    url, port = free_address()
    marked = tmp_path / "a b"
    marked.symlink_to(sys.executable)
    command = f"'{marked}' {SERVER} --port {port} --first 0.01 --gap 0"
    with loaded(url, server_command=command) as (process, ready):
        assert ready.load_seconds > 0
        (child,) = psutil.Process(process.pid).children()
        process.prepare({"concurrency": 1})
        assert process.measure("serving", 0.1, 1).inferences >= 1
    assert not child.is_running()


@pytest.mark.parametrize("script", ["", "trap '' TERM; "])
def test_the_children_of_the_server_end_with_it(script):
    url, port = free_address()
    command = f"sh -c '{script}{sys.executable} {SERVER} --port {port} --first 0.01 --gap 0; true'"
    with loaded(url, server_command=command) as (process, _):
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 2
    assert psutil.wait_procs(started, timeout=60)[1] == []


def test_a_server_that_ends_during_a_load_is_reported():
    url, port = free_address()
    with loaded(url, server_command=f"{sys.executable} {SERVER} --port {port} --gap 0") as (process, _):
        process.prepare({"concurrency": 1})
        (child,) = psutil.Process(process.pid).children()
        child.kill()
        with pytest.raises(WorkloadError, match="ended with exit status -9"):
            process.measure("serving", 0.1, 1)


def test_the_server_ends_with_a_killed_workload_process():
    url, port = free_address()
    with loaded(url, server_command=f"{sys.executable} {SERVER} --port {port}") as (process, _):
        (child,) = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="ended"):
            process.prepare({"concurrency": 1})
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/nowhere/server", "cannot be started"),
        (f"{sys.executable} -c 'print(\"no model\"); raise SystemExit(3)'", "ended with exit status 3"),
    ],
)
def test_a_server_that_does_not_start_is_reported_with_its_output(command, message):
    url, _ = free_address()
    with pytest.raises(WorkloadError, match=message) as failed, loaded(url, server_command=command):
        pass
    assert "3" not in message or failed.value.remedy == "the end of its output: no model"


def test_a_command_is_refused_if_a_server_answers_already():
    with ScriptedServer() as server:
        command = f"{sys.executable} {SERVER}"
        with pytest.raises(WorkloadError, match="is running already"), loaded(server.url, server_command=command):
            pass


def test_more_clients_than_files_that_may_be_open_are_refused():
    limited = ("prlimit", "--nofile=128", *WORKER_COMMAND)
    with ScriptedServer() as server, WorkloadProcess(limited) as process:
        process.start(spec_of(server.url), EngineSpec())
        with pytest.raises(WorkloadError, match="may open 128 files only") as refused:
            process.prepare({"concurrency": 65})
        assert refused.value.remedy == "allow more before the command: ulimit -n 129"


def test_the_client_uses_the_given_cpus_only():
    cpu = max(os.sched_getaffinity(0))
    with ScriptedServer() as server, loaded(server.url, client_cpus=str(cpu)) as (process, _):
        assert os.sched_getaffinity(process.pid) == {cpu}
        process.prepare({"concurrency": 1})
        assert process.measure("serving", 0.1, 1).load.client.cpus == 1


def test_a_profile_has_no_secret_of_the_command_line(tmp_path):
    spec = spec_of(
        "http://127.0.0.1:9/score?key=abc", headers={"X": "abc"}, server_command="serve --key abc", ca_file=tmp_path
    )
    assert "abc" not in str(settings_of(spec))
    assert settings_of(spec)["url"] == "http://127.0.0.1:9"
