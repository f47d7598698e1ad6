"""The energy of another host, a daemon with sensors and a clock of its own, from a run on this one."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

import daemons
from agent.api.counters import CounterView
from agent.api.metrics import Exporter
from agent.config import Config
from agent.energy.window import WindowEnergy, window_energy
from agent.runtime.clock import Timebase
from agent.sampling.pipeline import assembled
from agent.sampling.probe_reader import ProbeHealth
from agent.sampling.remote.probe import RemoteHost, RemoteHostError, connect
from agent.sampling.session import Recording, recording
from http_clients import export, serving
from moving_counters import advancing_counters, longest_gap
from probes.model import Channel, Device, Kind
from store.records import Host, Layout, Series, Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

WATTS = 60.0
PERIOD_SECONDS = 0.2
HOUR_NS = 3600 * 10**9
SHIFT_NS = -2 * HOUR_NS
"""The lead of the other host's clock."""


@contextmanager
def shifted(address: str) -> Iterator[str]:
    """Serve the daemon at `address` as one on a host whose clock differs; yield the URL."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon = HTTPConnection(address, timeout=10)
            try:
                daemon.request("GET", self.path)
                answer = daemon.getresponse()
                body = answer.read()
            except OSError:
                self.close_connection = True
                return
            if answer.status == 200:
                page = json.loads(body)
                page["now_ns"] += SHIFT_NS
                for tick in (probe["tick"] for probe in page["probes"] if probe["tick"]):
                    tick["start_ns"] += SHIFT_NS
                    tick["end_ns"] += SHIFT_NS
                body = json.dumps(page).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Sink:
    """Collects the ticks."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def take(self, ticks: Sequence[Tick]) -> None:
        self.ticks += ticks


@contextmanager
def sampled(remote: RemoteHost) -> Iterator[tuple[Recording, Callable[[int, int], WindowEnergy]]]:
    """Sample another host inside the block; the function returns the energy of its package in a window."""
    sink, layouts = Sink(), list[Layout]()

    def register(named: Sequence[tuple[str, tuple[Channel, ...]]]) -> list[Layout]:
        layouts.extend(Layout(number, name, channels) for number, (name, channels) in enumerate(named))
        return layouts

    def energy(start_ns: int, end_ns: int) -> WindowEnergy:
        (layout,) = (each for each in layouts if each.probe == "rapl")
        own = [tick for tick in sink.ticks if tick.layout == layout.id]
        position = [channel.metric for channel in layout.channels].index("energy_joules")
        times = [(tick.start_ns + tick.end_ns) // 2 for tick in own]
        halves = [(tick.end_ns - tick.start_ns + 1) // 2 for tick in own]
        series = Series(layout.channels[position], times, [tick.values[position] for tick in own], (), halves)
        return window_energy(series, start_ns, end_ns)

    timebase = Timebase.now()
    with (
        assembled(
            Config(), timebase, register, lambda _: sink, found=remote.discovery, period_of=remote.period_of
        ) as pipeline,
        recording(pipeline) as active,
    ):
        active.wait_for_first_ticks()
        yield active, energy


@pytest.fixture
def serving_host(tmp_path: Path) -> Iterator[daemons.Daemon]:
    home = daemons.create_host(tmp_path)
    daemons.configure(home, sampling=f"period_seconds = {PERIOD_SECONDS}\nestimates = false")
    with advancing_counters(home / "sys", {"intel-rapl:0": WATTS}), daemons.running(home) as daemon:
        await_true(lambda: daemon.energy() is not None)
        yield daemon


def test_the_energy_of_another_host_holds_within_its_bounds_although_its_clock_differs(serving_host: daemons.Daemon):
    with shifted(serving_host.address) as url:
        remote = connect(url)
        assert remote.host.name
        assert [channel.path for channel in remote.discovery.channels if channel.metric == "energy_joules"] == [
            "package-0/package"
        ]
        assert remote.clock_uncertainty_seconds < 0.5
        for _ in range(5):  # a busy host may read too rarely
            with sampled(remote) as (active, energy):
                start_ns = active.timebase.now_ns()
                time.sleep(2.0)
                end_ns = active.timebase.now_ns()
                active.wait_for_last_ticks()
            found = energy(start_ns, end_ns)
            if not found.reasons:
                break
    assert found.energy is not None, found.reasons
    true, late = WATTS * (end_ns - start_ns) / 1e9, WATTS * longest_gap(serving_host.home / "sys")
    assert found.energy.lower - late <= true <= found.energy.upper + late
    widest_seconds = 2 * (2 * PERIOD_SECONDS + 2 * remote.clock_uncertainty_seconds) + 0.5
    assert found.energy.upper - found.energy.lower <= WATTS * widest_seconds
    assert found.samples >= 5
    assert found.reasons == ()


def test_the_energy_is_withheld_if_the_other_host_stops_to_answer_within_a_window(serving_host: daemons.Daemon):
    with shifted(serving_host.address) as url, sampled(connect(url)) as (active, energy):
        start_ns = active.timebase.now_ns()
        time.sleep(0.5)
        serving_host.end(signal.SIGKILL)
        time.sleep(0.5)
        end_ns = active.timebase.now_ns()
        active.wait_for_last_ticks()
        reasons = active.faults()
    found = energy(start_ns, end_ns)
    assert found.energy is None
    assert found.reasons == ("no sample after the window's end",)
    assert url.removeprefix("http://") in reasons["package-0", "package"]


def test_sensors_that_are_read_too_rarely_or_not_at_all_are_problems_and_are_named_as_missing():
    fast, slow, unread = (
        Channel(Device(name, Kind.GPU), "board", "power_watts") for name in ("fast", "slow", "unread")
    )
    layouts = [Layout(number, channel.device.id, (channel,)) for number, channel in enumerate((fast, slow))]
    states = [ProbeHealth("fast", 1.0), ProbeHealth("slow", 10.0)]
    view = CounterView(Host("the-id", "node1"), layouts, states, [unread], time.time_ns)
    exporter = Exporter(layouts, states, lambda: 0, time.time_ns, "1.2.3", counters=view, process=False)
    with serving(exporter) as endpoint:
        remote = connect(f"http://{endpoint.address}")
    assert [probe.name for probe in remote.discovery.probes] == ["fast"]
    assert {problem.sensor: problem.reason for problem in remote.discovery.problems} == {
        "unread/board": "the serving host cannot read it",
        "slow": "the serving host reads it every 10 s, too rarely for windows of seconds",
    }
    assert set(remote.discovery.channels) == {fast, slow, unread}


def test_a_service_without_sensors_yet_is_refused_with_its_reason():
    exporter = export()
    with serving(exporter) as endpoint, pytest.raises(RemoteHostError, match="answers 503: no sensors"):
        connect(f"http://{endpoint.address}")


@pytest.mark.parametrize("url", ["node1", "http://user:secret@node1", "http://127.0.0.1:1"])
def test_a_url_without_a_service_is_refused_with_a_remedy(url: str):
    with pytest.raises(RemoteHostError, match="no sensor of the serving host can be read") as raised:
        connect(url)
    assert "http://host:19795" in raised.value.remedy
    assert "secret" not in str(raised.value)
