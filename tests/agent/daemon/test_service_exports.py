"""The service with TLS and passwords, and with an OpenTelemetry collector."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from daemons import configure, count_joules, create_host, launched, notify_socket, running
from otlp_receiver import receiving
from secured_exporters import TLS, USERS, ask_tls, basic, configured, rewritten, trusting
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_host(tmp_path)


def test_the_service_speaks_tls_and_a_reload_changes_its_password(home: Path) -> None:
    web = configured(home)
    configure(home, exporter=f'web_config = "{web}"')
    with notify_socket(home) as systemd, launched(home, NOTIFY_SOCKET=str(systemd.path)) as daemon:
        daemon.await_log("msg=started")
        context = trusting(home)
        assert ask_tls(daemon.address, context, Authorization=basic())[0].status == 200
        assert ask_tls(daemon.address, context)[0].status == 401
        rewritten(home, TLS)
        daemon.send(signal.SIGHUP)
        systemd.await_message("READY=1", times=2)
        await_true(lambda: ask_tls(daemon.address, context)[0].status == 200)
        rewritten(home, "unknown: 1\n")
        daemon.send(signal.SIGHUP)
        systemd.await_message("READY=1", times=3)
        await_true(lambda: ask_tls(daemon.address, context)[0].status == 200 and daemon.logged("unknown field"))
        assert daemon.process.poll() is None


def test_an_invalid_web_configuration_ends_the_start_with_its_reason(home: Path) -> None:
    configure(home, exporter=f'web_config = "{rewritten(home, USERS)}"')
    (home / "web.yml").chmod(0o644)
    with launched(home) as daemon:
        assert daemon.process.wait(60) == 1
    assert "web.yml: other users may read or change it" in (home / "log").read_text()


def test_the_service_sends_its_energy_to_a_collector_and_once_more_at_its_end(home: Path) -> None:
    with receiving() as receiver:
        configure(home)
        with (home / "config.toml").open("a") as file:
            file.write(f'[otlp]\nendpoint = "{receiver.url}"\ninterval_seconds = 1\n')
        for joules in (105, 110):
            receiver.points.clear()
            with running(home) as daemon:
                await_true(lambda: "package-0/package" in receiver.latest("hw.energy"))
                assert receiver.latest("hw.energy")["package-0/package"].value == 0.0
                count_joules(home, joules)
                await_true(lambda: receiver.latest("hw.energy")["package-0/package"].value == 5.0)
                before = receiver.exports
                assert daemon.end() == 0
            assert receiver.exports > before
    assert receiver.resource["host.name"]


def test_without_the_sdk_of_opentelemetry_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None; from agent.daemon import startup\n"
        "try: startup._otlp(None, None, None)\n"
        "except startup.DaemonError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "install the extra `otlp`: pip install 'inferometer[otlp]'" in done.stdout
