"""Compares `inferometer profile endpoint` with AIPerf on llama-server or vLLM, which run a small real model.

    make proof-servers                              # llama-server
    make proof-servers PROOF_ARGS="--server vllm"

Both tools send the same prompts at the same load, in alternating pairs: first with a fixed number of clients, then at a
fixed rate. The service measures the traffic meanwhile. The exit code is 1 if the medians of a quantity differ by more
than 5 %, if a request has a wrong number of tokens, or if the service's counts and energies do not add up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from live_service import LIVE, PROGRAM, free_port, observing, traffic, wait_until_ready
from programs import AIPERF, CACHE, LLAMA, MODEL, VLLM, aiperf, llama_server, small_model, vllm, write_tokenizer
from reporting import Bar, Verdict, finish, table

from agent.runtime.cpu_list import cpu_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAME, SLOTS, CLIENTS, PAIRS, WINDOWS = "smollm2", 4, 1, 5, 3
PROMPTS, PROMPT_WORDS, OUTPUT_TOKENS = 64, 40, 16
WORDS = "river stone light garden winter paper silver window morning bridge ocean music letter forest candle mountain"
"""One token each, so all prompts have the same number of tokens."""
BUSY_SHARE = 0.5
"""The rate of the open loop, as a share of the rate of the closed loop."""
MOST_DIFFERENCE = 0.05
CPUS = sorted(os.sched_getaffinity(0))
THREADS, CONTEXT = max(1, len(CPUS) // 2), 2048
SERVING_CPUS, CLIENT_CPUS = CPUS[:THREADS], CPUS[THREADS:] or CPUS
"""Half of the CPUs serve, the others are for the clients: their programs must not take time from the server."""
VLLM_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": cpu_list(SERVING_CPUS), "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip
LOAD_SECONDS, START_SECONDS, LIMIT_SECONDS = 10.0, 600.0, 600.0
QUANTITIES = {
    "ttft": "time to first token",
    "itl": "inter-token latency",
    "tpot": "time per output token",
    "e2e": "latency",
    "rate": "requests per second",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tool: medians in seconds, the rate in requests per second, and the token counts that occurred."""

    ttft: float
    itl: float
    tpot: float
    e2e: float
    rate: float
    requests: int
    failed: int
    input_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rig:
    """The server, the prompts and the time of each run."""

    url: str
    home: Path
    seconds: float


def llama_command(port: str) -> tuple[str | Path, ...]:
    """Return the command of llama-server, which has one slot for each request under way."""
    return (
        llama_server(), "--model", small_model(), "--alias", NAME, "--port", port, "--threads", str(THREADS),
        "--parallel", str(SLOTS), "--ctx-size", str(CONTEXT * SLOTS), "--metrics", "--no-webui", "--offline",
        "--no-cache-prompt",
    )  # fmt: skip


def vllm_command(port: str) -> tuple[str | Path, ...]:
    """Return the command of vLLM."""
    program, model = vllm()
    return (
        program, "serve", model, "--served-model-name", NAME, "--host", "127.0.0.1", "--port", port, "--enforce-eager",
        "--max-model-len", str(CONTEXT), "--max-num-seqs", str(SLOTS), "--dtype", "bfloat16",
        "--no-enable-prefix-caching",
    )  # fmt: skip


SERVERS = {"llama": (LLAMA, llama_command, "llamacpp"), "vllm": (VLLM, vllm_command, "vllm")}
"""The package of each server, its command, and its kind for the service."""


@contextmanager
def serving(home: Path, command: Callable[[str], tuple[str | Path, ...]]) -> Iterator[str]:
    """Run a server on its CPUs and the block on the others, and yield the URL of the server.

    Every prompt is new, so a cache of prompts is off.
    """
    port = free_port()
    os.sched_setaffinity(0, SERVING_CPUS)
    with (home / "server.log").open("wb") as log:
        line = [*map(str, command(port))]
        server = subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, **VLLM_VARIABLES})
    os.sched_setaffinity(0, CLIENT_CPUS)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/health", server, START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    except SystemExit:
        print((home / "server.log").read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        server.terminate()
        server.wait()
        os.sched_setaffinity(0, CPUS)


def write_prompts(home: Path) -> None:
    """Write the prompts in the format of each tool."""
    words, chosen = WORDS.split(), random.Random(0)
    texts = [f"Write a long story about {' '.join(chosen.choices(words, k=PROMPT_WORDS))}." for _ in range(PROMPTS)]
    (home / "inferometer.jsonl").write_text("".join(json.dumps({"prompt": each}) + "\n" for each in texts))
    (home / "aiperf.jsonl").write_text("".join(json.dumps({"text": each}) + "\n" for each in texts))


def inferometer(rig: Rig, rate: float | None) -> Run:
    """Measure with Inferometer: three windows; at a fixed rate, each of a whole number of requests."""
    seconds = rig.seconds / WINDOWS if rate is None else max(1, round(rig.seconds / WINDOWS * rate)) / rate
    load = ("--concurrency", str(CLIENTS)) if rate is None else ("--rate", f"{rate}", "--arrivals", "constant")
    document = json.loads(
        output(
            PROGRAM, "profile", "endpoint", "--url", rig.url, "--prompts", rig.home / "inferometer.jsonl",
            "--output-tokens", str(OUTPUT_TOKENS), *load, "--window-seconds", f"{seconds:.3f}",
            "--idle-seconds", "0.5", "--warmup-seconds", "3", "--force", "--no-store", "--json",
        )
    )  # fmt: skip
    (point,) = document["points"]
    served = point["serving"]
    return Run(
        point["time_to_first_token_seconds"]["p50"],
        point["inter_token_latency_seconds"]["p50"],
        served["time_per_output_token_seconds"]["p50"],
        point["latency_seconds"]["p50"],
        point["inferences_per_second"]["mean"],
        served["completed"],
        sum(served["errors"].values()),
        lengths(served["input_tokens"]),
        lengths(served["output_tokens"]),
    )


def lengths(tokens: dict[str, float]) -> tuple[int, ...]:
    """Return the shortest and the longest length, one number if they are the same."""
    return tuple(sorted({int(tokens["minimum"]), int(tokens["maximum"])}))


def peer(rig: Rig, rate: float | None) -> Run:
    """Measure with AIPerf.

    Its inter-chunk latency is our inter-token latency, because every chunk has one token, and its inter-token latency
    is our time per output token.
    """
    load = ["--concurrency", str(CLIENTS)]
    if rate is not None:
        load = ["--request-rate", f"{rate}", "--request-rate-mode", "constant"]
    folder = Path(tempfile.mkdtemp(dir=rig.home))
    output(
        aiperf(), "profile", "--model", NAME, "--url", rig.url, "--endpoint-type", "chat", "--streaming",
        "--tokenizer", rig.home / "tokenizer", "--input-file", rig.home / "aiperf.jsonl",
        "--custom-dataset-type", "single_turn", "--dataset-sampling-strategy", "sequential", *load,
        "--extra-inputs", f"max_tokens:{OUTPUT_TOKENS}", "--extra-inputs", "temperature:0", "--use-server-token-count",
        "--benchmark-duration", f"{rig.seconds:.0f}", "--benchmark-grace-period", "60", "--warmup-request-count", "4",
        "--no-gpu-telemetry", "--no-server-metrics", "--connection-reuse-strategy", "never", "--artifact-dir", folder,
        "--ui", "none", "--workers-max", "1", "--record-processors", "1",
    )  # fmt: skip
    lines = [json.loads(line) for line in (folder / "profile_export.jsonl").read_text().splitlines()]
    requests = [line for line in lines if line["metadata"]["benchmark_phase"] == "profiling"]
    metrics = [line["metrics"] for line in requests if not line.get("error")]
    ends_ns = sorted(line["metadata"]["request_end_ns"] for line in requests)
    return Run(
        median(each["time_to_first_token"]["value"] for each in metrics) / 1e3,
        median(gap for each in metrics for gap in each["inter_chunk_latency"]["value"]) / 1e3,
        median(each["inter_token_latency"]["value"] for each in metrics) / 1e3,
        median(each["request_latency"]["value"] for each in metrics) / 1e3,
        (len(ends_ns) - 1) / (ends_ns[-1] - ends_ns[0]) * 1e9 if len(ends_ns) > 1 else 0.0,
        len(metrics),
        len(requests) - len(metrics),
        tuple(sorted({each["usage_prompt_tokens"]["value"] for each in metrics})),
        tuple(sorted({each["usage_completion_tokens"]["value"] for each in metrics})),
    )


def output(*command: str | Path) -> str:
    """Run a tool, and return its standard output; the proof ends with the tool's messages if it fails."""
    line = [*map(str, command)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def compared(rig: Rig, name: str, rate: float | None, pairs: int) -> tuple[list[Run], list[Run]]:
    """Run both tools alternately at one load, and print each run as it ends."""
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(pairs):
        order = [(inferometer, ours), (peer, theirs)]
        for measure, runs in order if number % 2 == 0 else reversed(order):
            runs.append(measure(rig, rate))
            print(f"{name}, pair {number + 1} of {pairs}, {measure.__name__}: {runs[-1]}", file=sys.stderr, flush=True)
    return ours, theirs


def bars_of(name: str, ours: Sequence[Run], theirs: Sequence[Run]) -> tuple[list[tuple[object, ...]], list[Bar]]:
    """Return the rows and the bars of one load."""
    rows, bars = [], []
    for quantity, title in QUANTITIES.items():
        mine, other = ([getattr(run, quantity) for run in runs] for runs in (ours, theirs))
        ratio = median(mine) / median(other)
        each = [one / two for one, two in zip(mine, other, strict=True)]
        rows.append((name, title, median(mine), median(other), ratio, f"{min(each):.3f} to {max(each):.3f}"))
        bars.append(Bar(f"{name}: {title}, difference of the medians", abs(ratio - 1), MOST_DIFFERENCE))
    for tool, runs in (("Inferometer", ours), ("AIPerf", theirs)):
        bars.append(Bar(f"{name}: failed requests of {tool}", sum(run.failed for run in runs), 0))
    prompts, outputs = {run.input_tokens for run in (*ours, *theirs)}, {run.output_tokens for run in (*ours, *theirs)}
    wrong = (len(prompts) != 1 or len(*prompts) != 1) + (outputs != {(OUTPUT_TOKENS,)})
    bars.append(Bar(f"{name}: token counts that differ", wrong, 0))
    return rows, bars


def main() -> None:
    """Compare both tools at both loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short pair of each load, without bars on its medians")
    parser.add_argument("--server", choices=SERVERS, default="llama", help="the server under load")
    options = parser.parse_args()
    pairs, seconds = (1, 6.0) if options.quick else (PAIRS, LOAD_SECONDS)
    package, command, kind = SERVERS[options.server]
    rows, bars, runs = [], [], {}
    with tempfile.TemporaryDirectory(prefix="inferometer-proof-") as folder:
        home = Path(folder)
        write_prompts(home)
        write_tokenizer(aiperf(), home / "tokenizer")
        with serving(home, command) as url, observing(home, url, kind) as metrics:
            rig, rate = Rig(url, home, seconds), None
            if not options.quick:
                compared(rig, "warm-up, not counted", rate, 1)
            for name in ("closed loop", "open loop"):
                ours, theirs = compared(rig, name, rate, pairs)
                rate = round(BUSY_SHARE * median(run.rate for run in ours), 3)
                new_rows, new_bars = bars_of(name, ours, theirs)
                rows += new_rows
                bars += new_bars
                runs[name] = {"inferometer": [asdict(run) for run in ours], "aiperf": [asdict(run) for run in theirs]}
            figures, new_bars = traffic(metrics, url, kind)
            bars += new_bars
    if options.quick:
        bars = [bar for bar in bars if bar.limit != MOST_DIFFERENCE and bar.note != LIVE]
    columns = ("LOAD", "MEDIAN", "INFEROMETER>", "AIPERF>", "RATIO>", "RATIOS OF PAIRS")
    table(f"{pairs} pairs on {package} with {MODEL}, beside {AIPERF}", columns, rows)
    finish(
        CACHE / f"results/servers-{options.server}.json",
        {"pairs": pairs, "seconds": seconds, "runs": runs, "service": figures},
        bars,
    )
    if any(bar.verdict is not Verdict.MET for bar in bars):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
