"""The references that are made from the code: of the commands, for the site, and of the metrics, in docs/metrics.md.

    python docs/make_reference.py

Writes the tables of docs/metrics.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.api.metrics import PREFIX, Exporter
from agent.attribution.idle import IdlePower
from agent.attribution.snapshot import DeviceState, ModelState, ServerState, ServingSnapshot
from agent.attribution.traffic import TokenCost, WindowFigures
from agent.cli.main import command_line
from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary
from agent.sampling.host_total import HostReading
from agent.sampling.probe_reader import ProbeHealth
from agent.sampling.store_state import StoreState
from probes.model import METRICS, Channel, Device, Kind, Source
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric as Family

METRICS_PAGE = Path(__file__).with_name("metrics.md")
_TABLE = re.compile(r"(?<=<!-- metrics: )(\w+)( -->\n).*?(?=<!-- end of metrics -->)", re.DOTALL)

EXAMPLE = "Example: "


def commands() -> str:
    """Return every command with its help, examples and options, in the order of `inferometer --help`."""
    return "\n".join(_section("inferometer", typer.main.get_command(command_line())))


def _section(words: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    yield f"### {words}\n"
    yield from _text(command.help or "")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    yield from (f"- `{_usage(each)}`: {_meaning(each)}" for each in arguments)
    yield from (f"- `{_usage(each)}`: {_meaning(each)}" for each in options)
    yield ""
    for name, each in inner.items():
        yield from _section(f"{words} {name}", each)


def _text(help_text: str) -> Iterator[str]:
    paragraphs = [" ".join(paragraph.split()) for paragraph in help_text.split("\n\n")]
    yield from (f"{_escaped(each)}\n" for each in paragraphs if not each.startswith(EXAMPLE))
    if examples := [each.removeprefix(EXAMPLE) for each in paragraphs if each.startswith(EXAMPLE)]:
        yield "\n".join(["```", *examples, "```\n"])


def _usage(parameter: Any) -> str:
    """Return the names of a parameter and the name of its value, as a user types them."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.human_readable_name)
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar}"


def _meaning(parameter: Any) -> str:
    text = _escaped(parameter.help or "")
    if parameter.required:
        text += " Required."
    elif parameter.default not in {None, ""} and not getattr(parameter, "is_flag", False) and "default" not in text:
        text += f" The default is {parameter.default}."
    return text


def _escaped(text: str) -> str:
    """Return plain text as Markdown: outside of code, no character has a meaning."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[\\])", r"\\\1", part) for part in parts)


class _Accumulators:
    """Accumulators of counters, one of which missed a second."""

    def exported_value(self, tick: Tick, position: int) -> float:
        return tick.values[position]

    def exported_at_ns(self, tick: Tick) -> int:
        return tick.end_ns

    def lost_seconds(self) -> dict[tuple[str, ...], float]:
        return {("GPU-1", "board", "energy_joules", "measured"): 1.0}


def serving_snapshot() -> ServingSnapshot:
    """Return the state of a server with one model on one device, with every figure."""
    server = ServerState("chat", "vllm", True, 1, 2, {"timeout": 1}, 1, 1, 1, 2.0, 1.0, ("GPU-1",))
    energy = Energy(100.0, 90.0, 110.0)
    counts = {"output_tokens": 50.0, "input_tokens": 10.0, "requests": 5.0, "duration": 10.0}
    window = WindowFigures(60, 60.0, energy, counts)
    joules = {("attributed", "gpu_time", "measured"): 80.0, ("idle", "equal", "measured"): 20.0}
    costs = (TokenCost("generation", "multiplier", 0.5),)
    model = ModelState("chat", "m", counts, joules, window, "measured", costs)
    parts = {"idle": 20.0, "attributed": 80.0, "unattributed": 5.0}
    device = DeviceState("GPU-1", "measured", parts, -0.5, 2.0, IdlePower(50.0, 49.0, 51.0, 1))
    return ServingSnapshot((server,), (model,), (device,), "EUR")


def families() -> list[Family]:
    """Return every family that the exporter can have, from a device with every metric."""
    device = Device("GPU-1", Kind.GPU, "Accelerator")
    model = Channel(device, "model", "power_watts", Source.ESTIMATED, uncertainty=0.6)
    layout = Layout(1, "nvml", (*(Channel(device, "board", metric) for metric in METRICS), model))
    latest = Tick(1, 1, 1, tuple(1.0 for _ in layout.channels))
    health = ProbeHealth("nvml", 1.0, last_success_ns=1, ticks=1, rejected={(0, "reset"): 1}, latest=latest)
    host = HostReading(
        Boundary.ACCELERATOR, "estimated", (model,), ("memory",), 1.0, 1.0, 1.0, "EUR", 1, 9, Energy(1.0, 1.0, 1.0)
    )
    store, totals = StoreState("", 1, 0), _Accumulators()
    exporter = Exporter(
        [layout],
        [health],
        lambda: 0,
        lambda: 2,
        "1.2.3",
        host=lambda: host,
        store=lambda: store,
        serving=serving_snapshot,
        totals=totals,
    )
    return list(exporter.registry.collect())


def with_metrics(page: str) -> str:
    """Return a page with the table of each group of metrics between its marks."""
    rows: dict[str, list[str]] = {}
    for family in families():
        sample = family.samples[0]
        labels = ", ".join(f"`{label}`" for label in sample.labels)
        kind = "counter" if family.type == "counter" else "gauge"
        row = f"| `{sample.name}` | {kind} | {labels} | {family.documentation} |\n"
        rows.setdefault(_group(family.name), []).append(row.replace("|  |", "| |"))
    head = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    return _TABLE.sub(lambda marks: f"{marks[1]}{marks[2]}{head}{''.join(rows[marks[1]])}", page)


def _group(name: str) -> str:
    own = name.removeprefix(PREFIX)
    if own in METRICS:
        return "sensors"
    if own.startswith("host_") or own == "power_uncertainty_ratio":
        return "host"
    if own.startswith("serving_"):
        return "serving"
    if own in {"device", "build"}:
        return "info"
    return "process" if own.startswith("process_") else "probes"


if __name__ == "__main__":
    METRICS_PAGE.write_text(with_metrics(METRICS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
