"""`inferometer doctor`: every finding has its remedy, the exit code is the verdict, and nothing is changed."""

from __future__ import annotations

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.config import Config
from agent.config.serving import ServingConfig
from agent.doctor import exporter, run_checks, serving, worst_verdict
from agent.host.checks import Check, Verdict
from agent.runtime.closing import close_probes
from command import as_nobody, call, run
from moving_counters import advancing_counters, busy_processors
from probes.model import Roots
from probes.registry import discover
from probes.settings import SensorSettings
from store.database import open_database
from trees import FIXTURES, copy_tree, powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

BARE_METAL = FIXTURES / "proc/epyc_two_packages"


@pytest.fixture
def free() -> Iterator[str]:
    """An address without a listener."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Roots]:
    """A server of bare metal whose counters change, including those of its processors."""
    folder = tmp_path.with_name(f"{tmp_path.name}-server")
    sysfs = copy_tree("intel_server_2s", folder)
    zones = ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:1:0", "intel-rapl:2")
    with advancing_counters(sysfs, dict.fromkeys(zones, 60.0)), busy_processors(folder / "proc", 0.05):
        (folder / "proc/cpuinfo").write_bytes((BARE_METAL / "cpuinfo").read_bytes())
        yield Roots(str(sysfs), str(folder / "proc"))


@pytest.fixture
def line(tmp_path: Path, free: str, server: Roots) -> tuple[object, ...]:
    """The options of a healthy host."""
    file = tmp_path / "config.toml"
    file.write_text(f'[exporter]\nlisten = "{free}"\n', encoding="utf-8")
    return ("doctor", "--config", file, "--path.sysfs", server.sysfs, "--path.procfs", server.procfs)


def files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def test_every_check_passes_on_a_healthy_host_and_the_exit_code_is_0(tmp_path: Path, line: tuple[object, ...]) -> None:
    before = files(tmp_path)
    result = run(tmp_path, *line)
    assert result.returncode == 0, result.stdout
    assert {check[:6] for check in result.stdout.splitlines()} == {"PASS  "}
    for name in ("configuration", "processor power", "workload transformer", "database", "exporter", "disk space"):
        assert f"PASS  {name}: " in result.stdout
    assert files(tmp_path) == before


def test_warnings_end_with_1_and_the_json_has_every_check(tmp_path: Path, line: tuple[object, ...]) -> None:
    result = run(tmp_path, *line, "--path.sysfs", tmp_path, "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["verdict"] == "WARN"
    checks = {check["check"]: check for check in found["checks"]}
    power = checks["processor power"]
    assert power["verdict"] == "WARN"
    assert power["found"].startswith("estimated to ±")
    assert "modprobe intel_rapl_msr" in power["remedy"]
    assert all(check["remedy"] is None for check in checks.values() if check["verdict"] == "PASS")


def test_an_unusable_configuration_fails_and_the_other_checks_still_run(
    tmp_path: Path, line: tuple[object, ...]
) -> None:
    (tmp_path / "config.toml").write_text("databse = 1\n", encoding="utf-8")
    result = call(tmp_path, *line)
    assert result.returncode == 2
    assert "FAIL  configuration: " in result.stdout
    assert "did you mean 'database'?" in result.stdout
    assert "PASS  processor power: measured by" in result.stdout
    assert str(tmp_path / "state") in result.stdout  # the default database


def test_a_wrong_option_ends_doctor_with_2(tmp_path: Path) -> None:
    result = call(tmp_path, "doctor", "--path.sysfs", tmp_path / "missing")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: path.sysfs = '{tmp_path}/missing': there is no such folder")


def test_a_counter_that_only_root_may_read_fails_with_its_udev_rule(tmp_path: Path, line: tuple[object, ...]) -> None:
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    for counter in (sysfs / "devices").rglob("energy_uj"):
        counter.chmod(0o400 if os.geteuid() == 0 else 0)
    with as_nobody(tmp_path) as user:
        result = run(tmp_path, *line, "--path.sysfs", sysfs, "--json", **user)
    assert result.returncode == 2, result.stderr
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    sensor = next(check for name, check in checks.items() if name.startswith("sensor package-0, dram, "))
    assert sensor["verdict"] == "FAIL"
    assert "only root may read it" in sensor["found"]
    assert "inferometer service install" in sensor["remedy"]
    assert "udev rule" in sensor["remedy"]
    assert checks["processor power"]["verdict"] == "WARN"


def test_the_worst_verdict_is_the_last_of_their_order() -> None:
    checks = [Check("a", verdict, "") for verdict in (Verdict.WARN, Verdict.FAIL, Verdict.PASS)]
    assert worst_verdict(checks) is Verdict.FAIL
    assert worst_verdict(checks[2:]) is Verdict.PASS


def test_every_probe_is_closed_after_the_checks(tmp_path: Path, server: Roots) -> None:
    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = opened()
    checks = run_checks(Config(database=str(tmp_path / "new.db"), roots=server))
    assert checks[0].found.startswith("measured by package-0/dram")
    assert opened() <= before


def test_unchanged_energy_counters_and_an_unchanged_proc_stat_fail(tmp_path: Path) -> None:
    """RAPL zones that never change, and the /proc/stat of gVisor, whose counters stay 0."""
    powercap_zone(tmp_path / "sys", "intel-rapl:0", "package-0", 5_000_000)
    procfs = tmp_path / "proc"
    procfs.mkdir()
    (procfs / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")
    roots = Roots(str(tmp_path / "sys"), str(procfs), "/nowhere/libnvidia-ml.so.1")
    checks = {each.name: each for each in run_checks(Config(database=str(tmp_path / "new.db"), roots=roots))}
    for name in ("processor power", "sensor package-0/package", "/proc/stat"):
        assert checks[name].verdict is Verdict.FAIL
        assert checks[name].remedy
    guest = Roots(str(tmp_path), str(procfs), "/nowhere/libnvidia-ml.so.1")
    power = run_checks(Config(database=str(tmp_path / "new.db"), roots=guest))[0]
    assert (power.verdict, "do not change" in power.found) == (Verdict.FAIL, True)


def test_the_database_of_a_service_is_reported_as_closed_to_other_users(
    tmp_path: Path, line: tuple[object, ...]
) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    folder.chmod(0o777)
    store = folder / "store.db"
    open_database(str(store)).dispose()
    with as_nobody(tmp_path) as user:
        for mode, verdict, words in (
            (0o444, "WARN", "is read-only for this user"),
            (0o000, "FAIL", "cannot read it"),
        ):
            store.chmod(mode)
            result = run(tmp_path, *line, "--database", store, "--json", **user)
            assert result.stdout, result.stderr
            [check] = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "database"]
            assert (check["verdict"], bool(check["remedy"])) == (verdict, True), check
            assert words in check["found"]


class Healthy(BaseHTTPRequestHandler):
    """Answers as the daemon does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/-/healthy" else 404)
        self.end_headers()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002  the parent's own name
        """Stay silent."""


def greet(server: socket.socket) -> None:
    """Answer the first caller like another kind of server."""
    caller, _ = server.accept()
    with caller:
        caller.recv(1024)
        caller.sendall(b"SSH-2.0-other\r\n")


def test_the_exporter_address_is_free_ours_or_another_program_s(free: str) -> None:
    assert exporter(free).found == f"{free} is free: no service is running"
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ours = exporter(f"127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert (ours.verdict, ours.found.split(" at ")[0]) == (Verdict.PASS, "the service answers")
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=greet, args=(other,))
        thread.start()
        theirs = exporter(f"127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert theirs.verdict is Verdict.WARN
    assert "ss -ltnp" in theirs.remedy
    assert exporter("nonsense").verdict is Verdict.FAIL


def test_a_server_whose_processes_are_hidden_needs_devices(tmp_path: Path, server: Roots) -> None:
    entry = {"url": "http://127.0.0.1:1/metrics", "kind": "vllm"}
    servers = (
        ServingConfig("hidden", **entry),
        ServingConfig("listed", **entry, devices=("package-0",)),
        ServingConfig("wrong", **entry, devices=("GPU-9",)),
    )
    found = discover(server, SensorSettings())
    try:
        checks = {check.name: check for check in serving(Config(roots=server, serving=servers), found, tmp_path)}
        unit = tmp_path / "etc/systemd/system/inferometer.service"
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\nProtectProc=invisible\n")
        behind = {check.name: check for check in serving(Config(roots=server, serving=servers), found, tmp_path)}
        assert serving(Config(roots=server), found, tmp_path) == []
    finally:
        close_probes(found)
    assert "the systemd unit hides" in behind["serving hidden"].found
    assert behind["serving listed"].verdict is Verdict.PASS
    assert checks["serving hidden"].verdict is Verdict.FAIL
    assert checks["serving hidden"].remedy.startswith("set devices")
    assert checks["serving listed"].verdict is Verdict.PASS
    assert "package-0 above idle" in checks["serving listed"].found
    assert checks["serving wrong"].verdict is Verdict.FAIL
    assert "GPU-9: this host has no such device" in checks["serving wrong"].found
    assert "package-0" in checks["serving wrong"].remedy
