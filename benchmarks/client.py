"""Measures the client of `profile endpoint` on a server in C: CPU time an event, error of its times, memory.

The server writes one event a packet, with the time of the write in it. GuideLLM and AIPerf run beside it on the same
server if `make proof-servers` has installed them.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import compile_program
from reporting import Bar, arguments, finish, table

from agent.workloads.endpoint.responses import StreamedCompletion
from agent.workloads.endpoint.spec import EndpointSpec
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.load.client import Client
from agent.workloads.load.engine import LoadPhase
from agent.workloads.load.event_loop import new_event_loop
from agent.workloads.load.target import parse_url
from agent.workloads.load.window import LoadFacts
from agent.workloads.runner.client import WorkloadProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.workloads.load.exchange import Exchange

PEERS = Path.home() / ".cache/inferometer/proofs"
TOKENIZER = PEERS / "tokenizer/SmolLM2-135M-Instruct"
CLIENTS, INTERVAL_US = 64, 3200  # 20,000 events/s
TOKENS = 500
EVENTS_BAR = 10_000
PEER_BAR = 2.0
MEMORY_BAR_MIB = 2.0
PEER_CLIENTS, PEER_REQUESTS = 64, (64, 320)
SECONDS, QUICK_SECONDS = 10.0, 2.0
REQUESTS, QUICK_REQUESTS = 100_000, 10_000
_MIB = 1 << 20


def main() -> None:
    """Measure the rate, the times and the memory, and run the peers."""
    options = arguments(__doc__ or "")
    seconds, requests = (QUICK_SECONDS, QUICK_REQUESTS) if options.quick else (SECONDS, REQUESTS)
    with server(INTERVAL_US) as url:
        paced, share = events_per_cpu_second(url, CLIENTS, seconds)
        errors = timing(url, CLIENTS // 4, seconds)
        peers = (
            {} if options.quick else {name: peer(name, url) for name in ("guidellm", "aiperf") if _bin(name).exists()}
        )
    with server(0) as url:
        fast, _ = events_per_cpu_second(url, 8, seconds)
        growth = memory(url, requests)
    rows = [("Inferometer, one event a packet", paced), ("Inferometer, full speed", fast)]
    table("Events a second of CPU time", ("CLIENT", "EVENTS/S>"), [*rows, *peers.items()])
    columns = ("EVENTS/S>", "p50 ms>", "p99 ms>", "MOST ms>")
    half = CLIENTS // 4 * 1e6 / INTERVAL_US
    table("Error of the time of an event", columns, [(half, errors["p50"], errors["p99"], errors["max"])])
    bars = [
        Bar("events a second and core", paced, EVENTS_BAR, at_least=True, note=f"{share:.0%} of a CPU"),
        Bar("time of an event, p50", errors["p50"], 1.0, "ms"),
        Bar("time of an event, p99", errors["p99"], 5.0, "ms"),
        Bar(f"memory growth over {requests} requests", growth, MEMORY_BAR_MIB, "MiB"),
    ]
    if peers:
        bars.append(Bar("times the best peer", paced / max(peers.values()), PEER_BAR, at_least=True))
    figures = {"events_per_cpu_second": {**dict(rows), **peers}, "timing_ms": errors, "growth_mib": growth}
    finish(options.json, figures, bars)


@contextmanager
def server(interval_us: int) -> Iterator[str]:
    """Run the server on the first CPU; yield its URL."""
    first = min(os.sched_getaffinity(0))
    running = subprocess.Popen(
        ["taskset", "--cpu-list", str(first), compile_program("sse_server"), str(interval_us)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://127.0.0.1:{int(running.stdout.readline())}"
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def events_per_cpu_second(url: str, clients: int, seconds: float) -> tuple[float, float]:
    """Return the events a second of the client's CPU time, and its share of a CPU, in the real workload process."""
    last = max(os.sched_getaffinity(0))
    spec = EndpointSpec(url=url, prompt_tokens=64, output_tokens=TOKENS, client_cpus=str(last))
    with WorkloadProcess() as process:
        process.start(spec, EngineSpec())
        process.prepare({"concurrency": clients})
        found = process.measure("serving", seconds, 1)
    cpu_seconds = found.load.client.cpu_seconds
    return found.output_tokens / cpu_seconds, cpu_seconds / ((found.end_ns - found.start_ns) / 1e9)


class TimedCompletion(StreamedCompletion):
    """A stream whose events carry the times of their writes; `errors_ns` are the differences."""

    __slots__ = ("errors_ns",)

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.errors_ns: list[int] = []

    def _event(self, event: bytes, at_ns: int) -> None:
        super()._event(event, at_ns)
        _, found, rest = event.rpartition(b'"t":')
        if found:
            self.errors_ns.append(at_ns - int(rest[:-1]))


class Traffic:
    """Requests of a fixed number of tokens; `sent` has those of the last window."""

    def __init__(self, url: str, tokens: int, kind: type[Exchange]) -> None:
        self._client = Client(parse_url(url), {}, 60.0)
        self._head = self._client.head("POST", "/v1/chat/completions")
        self._body = b'{"max_tokens":%d,"stream":true}' % tokens
        self._kind = kind
        self.sent: list[Exchange] | None = None

    def next(self) -> Exchange:
        """Return the next request."""
        made = self._kind(self._body)
        if self.sent is not None:
            self.sent.append(made)
        return made

    async def send(self, exchange: Exchange) -> None:
        """Send a request."""
        await self._client.send(self._head, exchange)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


def _phase(traffic: Traffic, clients: int) -> LoadPhase:
    facts = LoadFacts("closed", "usage", 60.0)
    return LoadPhase(
        new_event_loop(), traffic, facts, clients=clients, rate=0.0, seed="0", streams=True, request_seconds=0.1
    )


def timing(url: str, clients: int, seconds: float) -> dict[str, float]:
    """Return the percentiles of the time from the write of an event to its stamp, in milliseconds."""
    traffic = Traffic(url, TOKENS, TimedCompletion)
    traffic.sent = []
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    try:
        _phase(traffic, clients).measure("serving", seconds, 1)
    finally:
        os.sched_setaffinity(0, cpus)
    errors = [error / 1e6 for each in traffic.sent for error in each.errors_ns]
    percentiles = statistics.quantiles(errors, n=100)
    return {"p50": percentiles[49], "p99": percentiles[98], "max": max(errors)}


def memory(url: str, requests: int) -> float:
    """Return the growth of this process in MiB while requests are sent; the first tenth warms up."""
    phase = _phase(Traffic(url, 1, StreamedCompletion), 16)
    part = requests // 10
    phase.measure("serving", 0.0, part)
    before = _resident_mib()
    for _ in range(10):
        phase.measure("serving", 0.0, part)
    return _resident_mib() - before


def _resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def peer(name: str, url: str) -> float:
    """Return a peer's events a second of CPU time, from two runs of different length, so that its start is left out."""
    spent = []
    for requests in PEER_REQUESTS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory(prefix="inferometer-client-") as folder:
            _run(_command(name, url, requests, Path(folder)), Path(folder))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return (PEER_REQUESTS[1] - PEER_REQUESTS[0]) * TOKENS / (spent[1] - spent[0])


def _bin(name: str) -> Path:
    return PEERS / name / "venv/bin" / name


def _run(command: list[str], folder: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    # In offline mode AIPerf searches the hub's cache even for a folder.
    environment = {**os.environ, "HOME": str(folder), **(offline if "guidellm" in command[0] else {})}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {Path(command[0]).name} failed: {done.stderr[-2000:] or done.stdout[-2000:]}")


def _command(name: str, url: str, requests: int, folder: Path) -> list[str]:
    if name == "guidellm":
        return [
            *(str(_bin(name)), "run", "--disable-console-interactive"),
            *("--backend", f"kind=openai_http,target={url},model=bench,request_format=/v1/chat/completions"),
            *("--profile", f"kind=concurrent,streams={PEER_CLIENTS}"),
            *("--constraint", f"kind=max_requests,count={requests}"),
            *("--data", f"kind=synthetic_text,prompt_tokens=64,output_tokens={TOKENS}"),
            *("--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}"),
            *("--output", f"kind=json,path={folder / 'result.json'}"),
        ]
    return [
        *(str(_bin(name)), "profile", "--model", "bench", "--url", url, "--endpoint-type", "chat", "--streaming"),
        *("--tokenizer", str(TOKENIZER), "--concurrency", str(PEER_CLIENTS), "--request-count", str(requests)),
        *("--isl", "64", "--isl-stddev", "0", "--osl", str(TOKENS), "--osl-stddev", "0", "--use-server-token-count"),
        *("--artifact-dir", str(folder), "--ui", "none", "--workers-max", "1", "--record-processors", "1"),
    ]


if __name__ == "__main__":
    main()
