"""Real results of other tools, and a store with a recording of known power around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.host.inventory import host_id
from agent.imports.files import read_file
from agent.imports.registry import tool_of
from command import ROOT
from probes.model import Channel, Device, Kind
from simulated import Power
from store.database import open_database
from store.records import Host, Tick
from store.writer import Writer
from stored import prepared, store_of

if TYPE_CHECKING:
    from pathlib import Path

    from agent.imports.records import ToolRun

RESULTS = ROOT / "tests/fixtures/results"
SECOND = 1_000_000_000
BEFORE_NS = 10 * SECOND
"""The time from the start of a recording to that of the result."""
METER = Channel(
    Device("package-0", Kind.CPU),
    "package",
    "energy_joules",
    refresh_seconds=1e-9,
    resolution=1e-9,
    max_plausible=1e15,  # watts: the reads around an edge bound it, no power does
)
GUIDELLM = RESULTS / "guidellm/benchmarks.json"
GUIDELLM_START_NS, GUIDELLM_SECONDS = 1_795_742_465_827_434_000, 21.218871808
VLLM = RESULTS / "vllm-bench/result.json"
AIPERF = RESULTS / "aiperf/profile_export.jsonl"
AIPERF_SUMMARY = RESULTS / "aiperf/profile_export_aiperf.json"
REPORT = RESULTS / "inference-perf/inference-perf.partial.stage_0.yaml"
LIFECYCLES = RESULTS / "inference-perf/per_request_lifecycle_metrics.json"
LLAMA_BENCH = RESULTS / "llama-bench/llama-bench.json"


def runs_of(*paths: Path, monotonic_zero_ns: int | None = None) -> list[ToolRun]:
    """Return the runs in these files."""
    files = [read_file(path) for path in paths]
    return tool_of(files).runs(files, monotonic_zero_ns)


def only_run(*paths: Path, monotonic_zero_ns: int | None = None) -> ToolRun:
    (found,) = runs_of(*paths, monotonic_zero_ns=monotonic_zero_ns)
    return found


def written(folder: Path, text: str | bytes, name: str = "result.json") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def record_power(
    home: Path,
    start_ns: int,
    seconds: float,
    power: Power | float = 100.0,
    *,
    program: str = "daemon",
    host: Host | None = None,
    period: float = 0.1,
) -> None:
    """Store a recording of a meter of known power, read every `period` seconds from `start_ns` on."""
    watts = power if isinstance(power, Power) else Power(((1.0, power),))
    engine = open_database(str(prepared(store_of(home))))
    writer = Writer(engine)
    (layout,) = writer.register(host or Host(host_id(), "here", "boot"), [("meter", (METER,))], program, start_ns)
    moments = [number * period for number in range(round(seconds / period) + 1)]
    writer.append(
        [
            Tick(layout.id, start_ns + round(at * SECOND), start_ns + round(at * SECOND), (watts.joules(at),))
            for at in moments
        ]
    )
    engine.dispose()


def record_around_guidellm(home: Path, power: Power | float = 100.0, **facts: Any) -> None:
    """Store a recording from 10 s before the result of GuideLLM to well after it."""
    record_power(home, GUIDELLM_START_NS - BEFORE_NS, 45, power, **facts)
