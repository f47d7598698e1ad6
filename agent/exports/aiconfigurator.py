"""NVIDIA AIConfigurator 0.12: the description of a system in YAML, from measured bandwidth, FLOP/s and power.

A generated transformer measures them, since its operations and the bytes of its weights are known: a step of the decode
reads every weight once, and the prefill computes with every weight. Both rates were reached, so they are below the
peaks of a data sheet. The format: https://github.com/ai-dynamo/aiconfigurator, folder systems of aiconfigurator-core.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from agent.exports.records import Exported, Exporter, ExportError, Fact
from agent.workloads.transformer.spec import TransformerSpec
from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.exports.records import ExportRequest
    from agent.profiling.records import Document, Point

_BYTES_PER_GIB = 1 << 30
_LEAST_BYTES = _BYTES_PER_GIB
"""Weights that no cache holds."""
_COMMAND = (
    "inferometer profile transformer --precision fp16 --layers 24 --width 1536 --heads 12 --batch 1,8 "
    "--prompt-tokens 512"
)
_OPERATIONS = {"fp16": "bfloat16_tc_flops", "fp32": "float32_tc_flops"}
"""The field of each precision; tensor cores compute with both formats of 16 bits at the same rate."""
_REQUIRED = "fp16"
_TEMPLATE = """\
# Measured by Inferometer {version} on: {machine}
data_dir: data/{name}  # it does not exist: this system has no measured kernels, so the mode is SOL
gpu:
{gpu}
node:
  num_gpus_per_node: 1
  inter_node_bw: .nan  # byte/s, not measured
  intra_node_bw: .nan  # byte/s, not measured
misc:
  nccl_mem: {{1: 0}}  # one device only: more are refused, since their links are not measured
  other_mem: 0  # bytes, not measured
  nccl_version: none
"""


@dataclass(frozen=True, slots=True)
class _Rate:
    """A measured rate, and the point that reached it."""

    value: float
    point: str


@dataclass(frozen=True, slots=True)
class _Generated:
    """A point of a generated transformer, with the model of that point."""

    document: Document
    point: Point
    model: TransformerSpec

    def rate(self, value: float) -> _Rate:
        return _Rate(value, f"{self.document.id} {self.point.name}")


def _export(request: ExportRequest) -> Exported:
    points = [each for document in request.documents for each in _generated(document)]
    first = request.documents[0]
    device, memory_gb = _device(first)
    bandwidth, watts = _best(_bandwidths(points)), _best(_powers(points))
    operations = {precision: _best(_computed(points, precision)) for precision in _OPERATIONS}
    memory = request.number("memory_gb") or memory_gb
    name = request.text("system") or _slug(device)
    missing = [*_mixed(request.documents), *_unmeasured(bandwidth, operations[_REQUIRED], watts)]
    given = [] if memory else ["the memory of one device: --set memory_gb=GIB"]
    given += [] if name == _slug(name) else [f"a name of a-z, 0-9 and _: it is --set system={name[:40]}"]
    if bandwidth is None or watts is None or memory is None or missing or given:
        raise ExportError([*missing, *given], _COMMAND if missing else "")
    values = {
        "mem_bw": f"{bandwidth.value:.0f}  # byte/s, reached by {bandwidth.point}",
        "mem_bw_empirical_scaling_factor": "1.0  # none: the bandwidth was reached",
        "mem_capacity": f"{round(memory * _BYTES_PER_GIB)}  # bytes",
        **{
            _OPERATIONS[precision]: f"{rate.value:.0f}  # FLOP/s, reached by {rate.point}"
            for precision, rate in operations.items()
            if rate
        },
        "power": f"{watts.value:.1f}  # watts, {first.coverage.source}, the highest mean, at {watts.point}",
        **({"sm_version": f"{request.number('sm_version'):.0f}"} if request.number("sm_version") else {}),
    }
    gpu = "\n".join(f"  {field}: {_ascii(value)}" for field, value in values.items())
    texts = {"version": _ascii(first.inferometer_version), "machine": _ascii(device)}
    use = f"aiconfigurator cli estimate --system {name} --systems-paths default,FOLDER --database-mode SOL"
    notes = (f"the name of the file is that of the system: {use}", f"the power is {first.coverage.source}")
    return Exported({f"{name}.yaml": _TEMPLATE.format(name=name, gpu=gpu, **texts).encode()}, notes)


EXPORTER = Exporter(
    name="aiconfigurator",
    summary="description of the system as YAML, for NVIDIA AIConfigurator 0.12",
    files=_export,
    facts=(
        Fact("system", "name of the system, by default the name of the device"),
        Fact("memory_gb", "memory of one device in GiB, by default that of the host for a processor", number=True),
        Fact("sm_version", "version of the device's CUDA architecture, such as 90", number=True),
    ),
)


def _device(document: Document) -> tuple[str, float | None]:
    """Return the name of the device that does the work, and the memory of a processor in GiB."""
    if _kind(document) is Kind.GPU:
        names = [each.name for each in document.devices if each.kind is Kind.GPU and each.name]
        return names[0] if names else "gpu", None
    memory = document.host.memory_bytes
    return document.host.cpu_model or "cpu", memory and memory / _BYTES_PER_GIB


def _kind(document: Document) -> Kind:
    device = document.engine.device or document.engine.provider
    return Kind.GPU if device.startswith("cuda") else Kind.CPU


def _mixed(documents: Iterable[Document]) -> list[str]:
    names = sorted({each.host.name for each in documents})
    return [f"profiles of one machine: these are of {', '.join(names)}"] if len(names) > 1 else []


def _unmeasured(bandwidth: _Rate | None, operations: _Rate | None, watts: _Rate | None) -> Iterator[str]:
    if bandwidth is None:
        yield "the bandwidth of the memory: the decode of a generated transformer of 1 GiB of weights or more"
    if operations is None:
        yield "the FLOP/s with 16 bits: the prefill of a generated transformer with --precision fp16"
    if watts is None:
        yield "the power of the device at work (`inferometer doctor` names the sensors), in a valid point"


def _generated(document: Document) -> Iterator[_Generated]:
    if document.workload.name != TransformerSpec.workload:
        return
    names = {each.name for each in fields(TransformerSpec)}
    for point in (each for each in document.points if each.valid):
        settings: dict[str, Any] = {**document.workload.settings, **point.parameters}
        model = TransformerSpec(**{name: value for name, value in settings.items() if name in names})
        yield _Generated(document, point, model)


def _bandwidths(points: Iterable[_Generated]) -> Iterator[_Rate]:
    """Yield the bytes of the weights over the time of a step; reads of the cache of keys and values are left out."""
    for each in points:
        step = each.point.inter_token_latency_seconds
        if step is not None and step.mean and each.model.step_bytes() >= _LEAST_BYTES:
            yield each.rate(each.model.step_bytes() / step.mean)


def _computed(points: Iterable[_Generated], precision: str) -> Iterator[_Rate]:
    """Yield the operations of the prefill over its time."""
    for each in points:
        for phase in each.point.phases:
            if phase.phase == "prefill" and phase.duration_seconds and each.model.precision == precision:
                yield each.rate(each.model.prompt_operations() * phase.inferences / phase.duration_seconds)


def _powers(points: Iterable[_Generated]) -> Iterator[_Rate]:
    """Yield the mean power at work: of the busiest accelerator on CUDA, which uses one, else of all processors."""
    for each in points:
        kind = _kind(each.document)
        joules: dict[str, float] = {}
        for sensor in each.point.energy.sensors if each.point.energy else ():
            if sensor.in_total and sensor.kind == kind:
                total = joules.get(sensor.device, 0.0) + sensor.joules_per_inference.total.mean
                joules[sensor.device] = total
        if joules:
            used = max(joules.values()) if kind is Kind.GPU else sum(joules.values())
            yield each.rate(used * each.point.inferences_per_second.mean)


def _best(rates: Iterable[_Rate]) -> _Rate | None:
    return max(rates, key=lambda rate: rate.value, default=None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:64] or "system"


def _ascii(text: str) -> str:
    """Return a text as a comment that cannot end: in ASCII, on one line."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)
