from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.beat import BeatState
from agent.exporter import Exporter
from agent.http import serve
from probes.model import METRICS, Channel, Device, Kind
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent.parent.parent / "docs/metrics.md"
WAIT_SECONDS = 13.0
WATTS = 100.0

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


@dataclass(frozen=True, slots=True)
class Host:
    """An exporter of one GPU with every metric, and the state of its probe."""

    exporter: Exporter
    state: BeatState
    started_ns: int

    def beat(self) -> None:
        """Take a tick of now: the energy has grown at WATTS, every other value is 1."""
        now_ns = time.time_ns()
        energy = WATTS * (now_ns - self.started_ns) / 1e9
        self.state.last_success_ns = now_ns
        self.state.ticks += 1
        values = tuple(energy if m == "energy_joules" else 1.0 for m in METRICS)
        self.state.latest = Tick(1, now_ns, now_ns, values)


@pytest.fixture
def host() -> Host:
    gpu = Device("GPU-1", Kind.GPU, "Accelerator", (("serial", "42"),))
    state = BeatState("nvml/GPU-1", 1.0, rejected={(0, "reset"): 1})
    layout = Layout(1, state.probe, tuple(Channel(gpu, "board", metric) for metric in METRICS))
    host = Host(Exporter([layout], [state], lambda: 0, time.time_ns, "1.2.3"), state, time.time_ns())
    host.beat()
    return host


@needs_promtool
def test_promtool_finds_nothing_to_say_about_what_is_served(host: Host):
    server = serve(host.exporter, "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=10) as answer:
            output = answer.read()
    finally:
        server.stop()
    checked = subprocess.run(["promtool", "check", "metrics"], input=output, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run a Prometheus server that scrapes `target` every second; yield its own address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: inferometer, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log, cwd=folder)
    try:
        yield address
    finally:
        running.kill()  # what it stored goes with the folder
        running.wait()


def query(address: str, expression: str) -> list[dict[str, Any]] | None:
    """Return the vector an expression gives now, or None while the server does not answer yet."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 503:
                return None
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
    except urllib.error.URLError:
        return None
    assert body["status"] == "success"
    return body["data"]["result"]


@needs_prometheus
def test_a_real_prometheus_scrapes_energy_that_grows_and_answers_every_query_of_the_reference(
    host: Host, tmp_path: Path
):
    server = serve(host.exporter, "127.0.0.1:0")
    energies: list[float] = []
    with_labels: dict[str, str] = {}
    try:
        with prometheus(tmp_path, server.address) as address:
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
                for expression in re.findall(r"```promql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
            }
    finally:
        server.stop()
    assert energies == sorted(energies)
    assert 0 < energies[-1] <= WATTS * (time.time_ns() - host.started_ns) / 1e9
    assert [series["value"][1] for series in up] == ["1"]
    assert with_labels.items() >= {"device": "GPU-1", "kind": "gpu", "domain": "board", "source": "measured"}.items()
    assert len(answers) >= 5
    assert None not in answers.values()
    named = [series["metric"].get("name") for result in answers.values() for series in result or ()]
    assert "Accelerator" in named
