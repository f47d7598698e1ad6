"""Lets AIPerf read the energy of accelerators from a running service, over a fake NVIDIA driver and over AMD GPUs.

    make proof-aiperf

AIPerf sends requests to a scripted server on loopback and collects `/dcgm/metrics`. The power of the accelerators is
constant, so their true energy is power times time.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs import CACHE, aiperf, write_tokenizer
from reporting import Bar, finish, table

import daemons
import fake_nvml
from trees import copy_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS, TOKEN_SECONDS, REQUESTS, CLIENTS = 32, 0.02, 30, 2
WARMUP_REQUESTS = 6
EDGE_SECONDS = 2.5
"""The largest difference in time: AIPerf collects every third of a second, the service stores totals every second."""
TIMEOUT_SECONDS = 120.0
NVIDIA_WATTS = (300.0, 120.0)
AMD_WATTS = (310.000001, 310.000001)
SCRIPT = ("--model", "scripted", "--endpoint-type", "chat", "--streaming")
LOAD = (
    "--isl", "32", "--isl-stddev", "0", "--osl", str(TOKENS), "--osl-stddev", "0", "--concurrency", str(CLIENTS),
    "--request-count", str(REQUESTS), "--warmup-request-count", str(WARMUP_REQUESTS), "--use-server-token-count",
    "--ui", "none", "--workers-max", "1", "--record-processors", "1",
)  # fmt: skip


class Script(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that streams `TOKENS` tokens, one every `TOKEN_SECONDS`."""

    def do_GET(self) -> None:
        """Answer with the list of models."""
        body = json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Stream a completion."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for _ in range(TOKENS):
            time.sleep(TOKEN_SECONDS)
            self._send(choices=[{"index": 0, "delta": {"content": " a"}, "finish_reason": None}])
        self._send(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}])
        self._send(choices=[], usage={"prompt_tokens": 32, "completion_tokens": TOKENS, "total_tokens": 32 + TOKENS})
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, **fields: Any) -> None:
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "scripted", **fields}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the method that it replaces
        """Log nothing."""


@contextmanager
def scripted() -> Iterator[str]:
    """Serve inside the block, and yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Script) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def nvidia(home: Path) -> None:
    """Give the host two NVIDIA GPUs with energy counters."""
    gpus = [
        replace(gpu, watts=watts, power_watts=watts, instant_watts=watts, average_watts=watts)
        for gpu, watts in zip((fake_nvml.H100, fake_nvml.A100), NVIDIA_WATTS, strict=True)
    ]
    library = fake_nvml.build(home)
    fake_nvml.write_state(library, gpus)
    daemons.configure(home, library=library)


def amd(home: Path) -> None:
    """Give the host two AMD GPUs, which have a power and no counter."""
    for metrics in copy_tree("amd_instinct", home / "amd").rglob("gpu_metrics"):
        metrics.unlink()
    daemons.configure(home, sysfs="amd/sys")


def measured(program: Path, home: Path) -> dict[str, Any]:
    """Run AIPerf against the service of a host, and return its report."""
    write_tokenizer(program, home / "tokenizer")
    with daemons.running(home) as service, scripted() as url:
        folder = home / "aiperf"
        to = ("--url", url, "--gpu-telemetry", f"http://{service.address}/dcgm", "--artifact-dir", folder)
        line = [program, "profile", *to, "--tokenizer", home / "tokenizer", *SCRIPT, *LOAD]
        done = subprocess.run(
            [*map(str, line)], cwd=home, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        if done.returncode:
            raise SystemExit(f"AIPerf ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        report: dict[str, Any] = json.loads((folder / "profile_export_aiperf.json").read_text(encoding="utf-8"))
        return report


def main() -> None:
    """Measure both hosts and print what AIPerf reports."""
    program, rows, bars, figures = aiperf(), [], [], {}
    for name, prepare, powers in (("NVIDIA", nvidia, NVIDIA_WATTS), ("AMD", amd, AMD_WATTS)):
        with tempfile.TemporaryDirectory(prefix="inferometer-aiperf-") as folder:
            home = daemons.create_host(Path(folder))
            prepare(home)
            report = measured(program, home)
        figures[name] = report["telemetry_data"]
        (endpoint,) = report["telemetry_data"]["endpoints"].values()
        gpus = list(endpoint["gpus"].values())
        watts = [gpu["metrics"]["nvidia_power_usage"]["avg"] for gpu in gpus]
        joules, seconds = report["nvidia_total_gpu_energy"]["avg"], report["benchmark_duration"]["avg"]
        models = ", ".join(gpu["gpu_name"] for gpu in gpus)
        per_token = report["nvidia_energy_per_output_token"]["avg"]
        rows.append((name, models, " + ".join(f"{each:.1f}" for each in watts), seconds, joules, per_token))
        off_seconds = abs(joules / sum(powers) - seconds)
        wrong_watts = max(abs(read - true) for read, true in zip(watts, powers, strict=True))
        bars += [
            Bar(f"{name}: energy that AIPerf reports, as time at the true power, minus its duration", off_seconds,
                EDGE_SECONDS, "s"),
            Bar(f"{name}: error of the power that AIPerf reports", wrong_watts, 0.001, "W"),
        ]  # fmt: skip
    columns = ("HOST", "ACCELERATORS", "POWER W>", "DURATION s>", "ENERGY J>", "mJ/OUTPUT TOKEN>")
    table("The report of AIPerf", columns, rows)
    finish(CACHE / "results/aiperf_energy.json", figures, bars)
    if any(bar.verdict.value != "met" for bar in bars):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
