from __future__ import annotations

import re
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.api.endpoint import serve
from agent.api.metrics import Exporter
from agent.sampling.probe_reader import ProbeHealth
from probes.model import METRICS, Channel, Device, Kind
from prometheus_server import needs_prometheus, needs_promtool, prometheus, query
from store.records import Layout, Tick

DOCS = Path(__file__).parent.parent.parent.parent / "docs"
PAGES = (DOCS / "metrics.md", DOCS / "fleet-metrics.md")
WAIT_SECONDS = 60.0
WATTS = 100.0


@dataclass(frozen=True, slots=True)
class Host:
    """An exporter of one GPU with every metric, and the state of its probe."""

    exporter: Exporter
    state: ProbeHealth
    started_ns: int

    def beat(self) -> None:
        """Add a tick of the present: the energy has grown at WATTS, every other value is 1."""
        now_ns = time.time_ns()
        energy = WATTS * (now_ns - self.started_ns) / 1e9
        self.state.last_success_ns = now_ns
        self.state.ticks += 1
        values = tuple(energy if m == "energy_joules" else 1.0 for m in METRICS)
        self.state.latest = Tick(1, now_ns, now_ns, values)


@pytest.fixture
def host() -> Host:
    gpu = Device("GPU-1", Kind.GPU, "Accelerator", (("serial", "42"),))
    state = ProbeHealth("nvml/GPU-1", 1.0, rejected={(0, "reset"): 1})
    layout = Layout(1, state.probe, tuple(Channel(gpu, "board", metric) for metric in METRICS))
    host = Host(Exporter([layout], [state], lambda: 0, time.time_ns, "1.2.3"), state, time.time_ns())
    host.beat()
    return host


@needs_promtool
def test_promtool_accepts_the_served_metrics(host: Host):
    server = serve(host.exporter, "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=10) as answer:
            output = answer.read()
    finally:
        server.close()
    checked = subprocess.run(["promtool", "check", "metrics"], input=output, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@needs_prometheus
def test_a_real_prometheus_scrapes_energy_that_grows_and_answers_every_query_of_the_reference(
    host: Host, tmp_path: Path
):
    server = serve(host.exporter, "127.0.0.1:0")
    energies: list[float] = []
    with_labels: dict[str, str] = {}
    try:
        with prometheus(tmp_path, {"inferometer": server.address}) as address:
            deadline = time.monotonic() + WAIT_SECONDS
            while len(energies) < 2 and time.monotonic() < deadline:
                host.beat()
                for series in query(address, "inferometer_energy_joules_total") or ():
                    with_labels = series["metric"]
                    value = float(series["value"][1])
                    if value not in energies:
                        energies.append(value)
                time.sleep(0.1)
            assert len(energies) >= 2, (tmp_path / "log").read_text()
            up = query(address, 'up{job="inferometer"}') or []
            answers = {
                expression: query(address, expression)
                for page in PAGES
                for expression in re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
            }
    finally:
        server.close()
    assert energies == sorted(energies)
    assert 0 < energies[-1] <= WATTS * (time.time_ns() - host.started_ns) / 1e9
    assert [series["value"][1] for series in up] == ["1"]
    assert with_labels.items() >= {"device": "GPU-1", "kind": "gpu", "domain": "board", "source": "measured"}.items()
    assert len(answers) >= 5
    assert None not in answers.values()
    named = [series["metric"].get("name") for result in answers.values() for series in result or ()]
    assert "Accelerator" in named
