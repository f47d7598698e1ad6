"""Runs the service beside a load, and compares its figures of the traffic with the server's own counters."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families
from reporting import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(sys.executable).with_name("inferometer")
TOKENS = {"llamacpp": "llamacpp:tokens_predicted_total", "vllm": "vllm:generation_tokens_total"}
"""The counter of output tokens of each kind of server."""
SETTLE_SECONDS = 12.0
"""Two scrapes of the service after the last request."""
START_SECONDS = 60.0
LIVE = "of the last minutes"
"""The note of the bar that needs a long load."""


def free_port() -> str:
    """Return a port of loopback that nothing uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a URL answers; the proof ends if the process does, or after a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing answers at {url}")


@contextmanager
def observing(home: Path, url: str, kind: str) -> Iterator[str]:
    """Run the service inside the block, and yield the URL of its metrics."""
    config, listen = home / "service.toml", f"127.0.0.1:{free_port()}"
    config.write_text(f'[[serving]]\nname = "proof"\nurl = "{url}/metrics"\nkind = "{kind}"\n', encoding="utf-8")
    command = (PROGRAM, "--database", home / "service.sqlite", "daemon", "--config", config, "--listen", listen)
    with (home / "service.log").open("wb") as log:
        service = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env={**os.environ})
    try:
        wait_until_ready(f"http://{listen}/-/ready", service, START_SECONDS)
        yield f"http://{listen}/metrics"
    finally:
        service.terminate()
        service.wait()


def traffic(metrics: str, server: str, kind: str) -> tuple[dict[str, float], list[Bar]]:
    """Return the figures of the service after the load, and their bars."""
    time.sleep(SETTLE_SECONDS)
    served, own = _values(metrics), _values(f"{server}/metrics")
    parts = served["inferometer_serving_device_energy_joules_total"]
    residuals, bounds = (served[f"inferometer_serving_energy_residual_{name}joules"] for name in ("", "bound_"))
    tokens = sum(served["inferometer_serving_output_tokens_total"])
    joules = sum(served["inferometer_serving_energy_joules_total"])
    (live,) = served.get("inferometer_serving_joules_per_output_token", [0.0])
    figures = {
        "output_tokens": tokens,
        "server_joules": joules,
        "device_joules": sum(parts),
        "joules_per_output_token": joules / tokens,
        "live_joules_per_output_token": live,
    }
    return figures, [
        Bar("service: output tokens, difference from the server's counter", abs(tokens - sum(own[TOKENS[kind]])), 0),
        Bar("service: negative parts of the energy", sum(part < 0 for part in parts), 0),
        Bar("service: energy that the parts leave out", abs(sum(residuals)), sum(bounds), "J"),
        Bar("service: energy for each output token", joules / tokens, 1e-6, "J", at_least=True),
        Bar("service: live energy for each output token", live, 1e-6, "J", at_least=True, note=LIVE),
    ]


def _values(url: str) -> dict[str, list[float]]:
    """Return the values of each metric, whatever their labels."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found
