from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent.host import server_processes
from agent.host.server_processes import ServerProcesses
from probes.cpu.utilization import TICK_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0
   1: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4343 1 0000000000000000 100 0
   2: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4444 1 0000000000000000 100 0
   3: broken
"""


def add(proc: Path, pid: int, parent: int, ticks: int = 0, started: int = 100, links: str = "", unit: str = "") -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    (folder / "comm").write_text("server\n")
    rest = ["0"] * 30
    rest[1], rest[11], rest[12], rest[19] = map(str, (parent, ticks, 0, started))
    (folder / "cgroup").write_text(f"0::{unit or '/user.slice/user-1000.slice/session-1.scope'}\n")
    (folder / "stat").write_text(f"{pid} (a) b) S {' '.join(rest[1:])}")
    if links and not (folder / "fd/3").is_symlink():
        (folder / "fd/3").symlink_to(links)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A server of process 10, its worker 11 and the worker's child 12; 13 and 20 are other processes."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    add(tmp_path, 10, 1, 100, links="socket:[4242]")
    add(tmp_path, 11, 10, 50, 101)
    add(tmp_path, 12, 11, 5, 102)
    add(tmp_path, 13, 1, 7, 103)
    add(tmp_path, 20, 1, 9, 90, links="socket:[4343]")
    (tmp_path / "self").mkdir()
    return tmp_path


def test_a_server_is_the_listening_process_and_its_descendants(proc: Path, monkeypatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: 100.0)
    assert ServerProcesses(str(proc), 8000).advance() == (frozenset({10, 11, 12}), 0.0, 99.0)


@pytest.mark.parametrize(
    "unit",
    [
        "/system.slice/vllm.service",
        "/system.slice/vllm@1.service",
        "/system.slice/docker-0123abc.scope",
        "/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123abc.scope",
        "/docker/" + "a" * 64,
    ],
)
def test_a_server_in_a_service_or_a_container_is_all_of_its_processes(proc: Path, unit: str) -> None:
    for pid in (10, 13):
        (proc / f"{pid}/cgroup").write_text(f"12:pids:/other\n0::{unit}\n")
    found = ServerProcesses(str(proc), 8000).advance()
    assert found is not None
    assert found[0] == {10, 11, 12, 13}


@pytest.mark.parametrize("unit", ["/user.slice/user-0.slice/user@0.service/app.service", "/"])
def test_a_server_in_a_login_session_is_not_all_of_the_session(proc: Path, unit: str) -> None:
    for pid in (10, 13):
        (proc / f"{pid}/cgroup").write_text(f"0::{unit}\n")
    found = ServerProcesses(str(proc), 8000).advance()
    assert found is not None
    assert found[0] == {10, 11, 12}


def test_processor_time_is_that_since_the_last_call(proc: Path) -> None:
    server = ServerProcesses(str(proc), 8000)
    server.advance()
    add(proc, 10, 1, 130)
    add(proc, 12, 11, 15, 102)
    found = server.advance()
    assert found is not None
    assert found[1] == pytest.approx(40 * TICK_SECONDS)


def test_a_new_process_counts_from_its_start_and_an_ended_one_no_more(proc: Path, monkeypatch) -> None:
    monkeypatch.setattr(server_processes, "SEARCH_SECONDS", 0.0)
    server = ServerProcesses(str(proc), 8000)
    server.advance()
    for name in ("stat", "comm"):
        (proc / "12" / name).unlink()
    add(proc, 14, 10, 25, 200)
    add(proc, 15, 10, 99, 50)
    found = server.advance()
    assert found is not None
    assert found[0] == {10, 11, 14, 15}
    assert found[1] == pytest.approx(25 * TICK_SECONDS)


def test_the_age_of_a_server_is_that_of_its_oldest_listening_process(proc: Path, monkeypatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: 100.0)
    server = ServerProcesses(str(proc), 8000)
    server.advance()
    for pid in (10, 11, 12):
        (proc / str(pid) / "stat").unlink()
    assert server.advance() is None
    add(proc, 30, 1, 3, 300, links="socket:[4242]")
    server._searched = -1e9
    found = server.advance()
    assert found is not None
    assert (found[0], found[2]) == (frozenset({30}), 97.0)


def test_the_age_of_a_server_that_started_in_the_future_is_unknown(proc: Path, monkeypatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: 0.5)
    found = ServerProcesses(str(proc), 8000).advance()
    assert found is not None
    assert found[2] == math.inf


def test_a_port_on_which_nothing_listens_has_no_process(proc: Path) -> None:
    assert ServerProcesses(str(proc), 8002).advance() is None
    assert ServerProcesses(str(proc), 8001).advance() is None
    assert ServerProcesses(str(proc / "missing"), 8000).advance() is None


def test_a_forwarder_to_a_container_is_not_the_server(proc: Path) -> None:
    (proc / "10/comm").write_text("docker-proxy\n")
    assert ServerProcesses(str(proc), 8000).advance() is None


def test_a_process_whose_name_is_hidden_counts(proc: Path) -> None:
    (proc / "10/comm").unlink()
    assert ServerProcesses(str(proc), 8000).advance() is not None


@pytest.mark.system
def test_the_processes_of_a_real_server_are_found_with_their_time() -> None:
    code = (
        "import socket, sys, time\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "sys.stdin.readline()\n"
        "end = time.process_time() + 0.5\n"
        "while time.process_time() < end: pass\n"
        "print('done', flush=True); time.sleep(60)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            server = ServerProcesses("/proc", int(process.stdout.readline()))
            first = server.advance()
            assert first is not None
            assert process.pid in first[0]
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
            second = server.advance()
            assert second is not None
            assert 0.1 <= second[1] <= 2
        finally:
            process.kill()


def test_this_process_listens_on_its_own_port() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as own:
        found = ServerProcesses("/proc", own.getsockname()[1]).advance()
    assert found is not None
    assert os.getpid() in found[0]
