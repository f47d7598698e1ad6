"""The state of the service: its files, systemd and the health of the daemon."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from agent.install import files
from agent.install import systemd as service
from fake_systemd import PLACES, PROGRAM, Systemd, invoke

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("workable")


def test_status_reports_the_state_of_each_file(tmp_path: Path) -> None:
    invoke("install", "--root", str(tmp_path))
    (tmp_path / PLACES[1]).unlink()
    (tmp_path / PLACES[2]).write_text("# mine\n")
    result = invoke("status", "--root", str(tmp_path))
    assert result.exit_code == 3
    assert [line.split()[0] for line in result.stdout.splitlines()[:5]] == [
        "current",
        "missing",
        "changed",
        "current",
        "current",
    ]


def test_an_unreadable_file_counts_as_changed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert files.file_status(tmp_path / "folder", "") is files.FileStatus.CHANGED


def test_status_ends_with_4_if_nothing_is_installed(tmp_path: Path) -> None:
    assert invoke("status", "--root", str(tmp_path)).exit_code == 4


def test_status_as_json_is_one_document(tmp_path: Path) -> None:
    invoke("install", "--root", str(tmp_path))
    document = json.loads(invoke("status", "--root", str(tmp_path), "--json").stdout)
    assert document == {
        "installed": True,
        "running": False,
        "active": None,
        "enabled": None,
        "health": None,
        "files": [{"path": f"{tmp_path}/{place}", "status": "current"} for place in PLACES],
        "families": [],
    }


@pytest.mark.parametrize(
    ("word", "running"), [("active", True), ("reloading", True), ("activating", False), ("failed", False)]
)
def test_the_word_of_systemd_decides_whether_the_service_runs(tmp_path: Path, word: str, running: bool) -> None:
    state = service.service_state(tmp_path, PROGRAM, run=Systemd(stdout=f"{word}\n"), health=None)
    assert (state.running, state.active, state.enabled) == (running, word, word)


@pytest.mark.parametrize("ok", [True, False])
def test_without_systemd_the_response_of_the_daemon_decides(tmp_path: Path, ok: bool) -> None:
    health = service.Health("http://127.0.0.1:1/-/healthy", ok, "")
    assert service.service_state(tmp_path, PROGRAM, run=None, health=health).running is ok


class Daemon(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/-/healthy" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "", "[::]", "localhost"])
def test_a_responding_daemon_is_healthy_at_any_address(port: int, host: str) -> None:
    health = service.ask_health(f"{host}:{port}")
    assert (health.ok, health.answer) == (True, "200 OK")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "nonsense", "127.0.0.1:port", "[::1:9"])
def test_a_daemon_without_a_response_is_unhealthy_with_the_reason(listen: str) -> None:
    health = service.ask_health(listen)
    assert not health.ok
    assert health.answer


def test_the_queried_address_is_the_configured_one(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[exporter]\nlisten = "127.0.0.1:1234"\n')
    assert service.listen_address(config) == "127.0.0.1:1234"
    config.write_text("not toml")
    assert service.listen_address(config) == service.listen_address(tmp_path / "none")
