"""The service measures the traffic of scripted servers, whatever they answer, and every stop ends in time."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from daemons import configure, count_joules, create_host, running
from metrics_server import HANG, MetricsServer, response
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

    from daemons import Daemon

pytestmark = pytest.mark.system

VLLM = """vllm:prompt_tokens_total{{model_name="m"}} {input}
vllm:generation_tokens_total{{model_name="m"}} {output}
vllm:request_success_total{{finished_reason="stop",model_name="m"}} {requests}
vllm:num_requests_running{{model_name="m"}} 1
vllm:num_requests_waiting{{model_name="m"}} 0
"""


def vllm(output: int) -> bytes:
    return response(VLLM.format(input=output // 2, output=output, requests=output // 10))


def serving(*servers: MetricsServer, **more: str) -> str:
    settings = "".join(f"{key} = {value}\n" for key, value in more.items())
    return "".join(
        f'[[serving]]\nname = "s{at}"\nurl = "{each.url}"\nkind = "vllm"\n{settings}'
        for at, each in enumerate(servers, 1)
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_host(tmp_path)


def scrapes(daemon: Daemon, server: str = "s1") -> float:
    return daemon.metric("inferometer_serving_scrapes_total", server=server) or 0.0


def await_scrapes(daemon: Daemon, count: float, server: str = "s1") -> None:
    await_true(lambda: scrapes(daemon, server) >= count)


def tokens(daemon: Daemon, server: str = "s1") -> float | None:
    return daemon.metric("inferometer_serving_output_tokens_total", server=server)


def test_tokens_and_energy_are_exported_and_go_on_after_a_restart(home: Path) -> None:
    server = MetricsServer(vllm(1000))
    with server.running():
        configure(home, exporter=serving(server, devices='["package-0"]'))
        with running(home) as daemon:
            await_scrapes(daemon, 1)
            assert tokens(daemon) == 0
            server.script = vllm(1500)
            count_joules(home, 150)
            await_scrapes(daemon, scrapes(daemon) + 2)
            assert tokens(daemon) == 500
            joules = {
                part: daemon.metric("inferometer_serving_device_energy_joules_total", device="package-0", part=part)
                for part in ("idle", "attributed", "unattributed")
            }
            assert all(value is not None and value >= 0 for value in joules.values()), joules
            total = sum(value or 0.0 for value in joules.values())
            residual = daemon.metric("inferometer_serving_energy_residual_joules", device="package-0")
            assert residual is not None
            assert 0 < total + residual <= 50
            server.script = vllm(1600)
            await_scrapes(daemon, scrapes(daemon) + 1)
            assert daemon.end() == 0
        with closing(sqlite3.connect(daemon.database)) as stored:
            sums = "SELECT server, model, basis, sum(output_tokens) FROM serving_hours GROUP BY server, model, basis"
            [row] = stored.execute(sums).fetchall()  # of two hours, if one ended meanwhile
        assert row[:3] == ("s1", "m", "arrivals")
        assert row[3] in {500, 600}
        with running(home) as daemon:
            await_scrapes(daemon, 1)
            assert tokens(daemon) in {500, 600}


def test_a_server_that_answers_nothing_delays_neither_sampling_nor_others_nor_a_stop(home: Path) -> None:
    with ExitStack() as stack:
        hanging = stack.enter_context(MetricsServer(HANG).running())
        good = stack.enter_context(MetricsServer(vllm(10)).running())
        configure(home, exporter=serving(hanging, good, devices='["package-0"]'))
        with running(home) as daemon:
            await_scrapes(daemon, 2, "s2")
            assert daemon.metric("inferometer_serving_up", server="s2") == 1
            assert daemon.metric("inferometer_serving_up", server="s1") == 0
            missed = daemon.metric("inferometer_probe_reads_missed_total", probe="rapl")
            began = time.monotonic()
            assert daemon.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < 15
            assert missed == 0 or daemon.ticks() > 5 * missed


def test_failures_are_counted_by_reason_and_the_service_recovers(home: Path) -> None:
    server = MetricsServer(b"garbage")
    with server.running():
        configure(home, exporter=serving(server, devices='["package-0"]'))
        with running(home) as daemon:

            def errors(reason: str) -> float | None:
                return daemon.metric("inferometer_serving_scrape_errors_total", server="s1", reason=reason)

            await_scrapes(daemon, 1)
            assert errors("content") >= 1
            server.script = response("x" * 10_000_000)
            await_true(lambda: bool(errors("size")))
            server.script = response("other_total 5\n")
            await_true(lambda: bool(errors("metrics")))
            server.script = vllm(10)
            await_true(lambda: daemon.metric("inferometer_serving_up", server="s1") == 1)
            daemon.await_log('msg="scrape works again" server=s1')
            assert "scrape failed: retrying" in daemon.log.read_text()
            assert daemon.metric("inferometer_probe_up", probe="rapl") == 1


def test_a_reload_adds_a_server_and_removes_one(home: Path) -> None:
    server = MetricsServer(vllm(10))
    with server.running(), running(home) as daemon:
        assert "serving" not in daemon.ask("/metrics")[1]
        configure(home, exporter=serving(server, devices='["package-0"]'))
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=2)
        await_scrapes(daemon, 1)
        configure(home)
        daemon.send(signal.SIGHUP)
        daemon.await_log("msg=started", times=3)
        assert "serving" not in daemon.ask("/metrics")[1]
