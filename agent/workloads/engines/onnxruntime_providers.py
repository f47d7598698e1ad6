"""The execution providers of ONNX Runtime: the choice of the user, and their part in a loaded session."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Choice = Sequence[tuple[str, Mapping[str, str]]]

_SUFFIX = "ExecutionProvider"
CPU, CUDA = f"CPU{_SUFFIX}", f"CUDA{_SUFFIX}"
_ON_CUDA = {CUDA, f"Tensorrt{_SUFFIX}", f"NvTensorRTRTX{_SUFFIX}"}
_STRICT = {"use_tf32": "0"}
"""By default the provider rounds the factors of fp32 products to TF32, with 10 bits of mantissa instead of 23."""
RECORD = "session.record_ep_graph_assignment_info"
"""The session entry that makes newer versions of the engine record the provider of each operator."""


def short(provider: str) -> str:
    """Return the short name of a provider: `cuda` for CUDAExecutionProvider."""
    return provider.removesuffix(_SUFFIX).lower()


def chosen(
    given: Mapping[str, Mapping[str, str]], device: str, offered: Sequence[str], version: str
) -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a session with their options, in order; CPU alone is the last choice of each.

    `given` are those of --providers, by full or short name; without any, `device` chooses. Raises WorkloadError for a
    provider that this installation lacks, and for a device that contradicts the providers.
    """
    if not given:
        return _of_device(device, offered, version)
    names = {short(name): name for name in offered}
    found = []
    for name, options in given.items():
        if short(name) not in names:
            offers = ", ".join(f"{each} ({name})" for each, name in names.items())
            raise WorkloadError(
                f"--providers {name}: this onnxruntime {version} offers only {offers}",
                "choose among these, or install the build of onnxruntime that contains it",
            )
        found.append((names[short(name)], dict(options)))
    first, options = found[0]
    own = f"cuda:{options.get('device_id', '0')}" if first in _ON_CUDA else short(first)
    if device not in {AUTO, own, own.partition(":")[0]}:
        raise WorkloadError(
            f"--device {device} and --providers {short(first)} contradict each other: that provider runs on {own}",
            "leave out --device, and give the device as an option of the provider, such as cuda:device_id=1",
        )
    return found


def _of_device(device: str, offered: Sequence[str], version: str) -> list[tuple[str, dict[str, str]]]:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device):
        raise WorkloadError(f"--device: {device!r} is not one of auto, cpu, cuda, cuda:1, ...")
    if device.startswith("cuda") and CUDA not in offered:
        raise WorkloadError(
            f"--device {device}: this onnxruntime {version} offers only {', '.join(offered)}",
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu; or --device cpu",
        )
    if device == "cpu" or CUDA not in offered:
        return [(CPU, {})]
    return [(CUDA, {"device_id": device.partition(":")[2] or "0", **_STRICT}), (CPU, {})]


def memory_of(provider: str, options: Mapping[str, str]) -> tuple[str, int]:
    """Return the kind of memory that a provider computes in, and the number of its device.

    Tensors of a provider without memory of its own here are in that of the host, and the provider copies them.
    """
    return ("cuda", int(options.get("device_id") or 0)) if provider in _ON_CUDA else ("cpu", 0)


def device_of(provider: str, options: Mapping[str, str]) -> str:
    """Return the device of a provider by the options that the engine reports: `cpu`, `cuda:0`, `openvino:GPU`."""
    if provider in _ON_CUDA:
        return f"cuda:{options.get('device_id') or 0}"
    kind = options.get("device_type")
    return f"{short(provider)}:{kind}" if kind else short(provider)


def operators_by_provider(handle: Any) -> Counter[str] | None:
    """Return the number of operators that each provider runs, None if this version of the engine does not record it."""
    try:
        parts = handle.get_provider_graph_assignment_info()
    except AttributeError:
        return None
    counts = Counter[str]()
    for part in parts:
        counts[part.ep_name] += len(part.get_nodes())
    return counts


def unused(asked: Choice, registered: Sequence[str], counts: Mapping[str, int] | None) -> str | None:
    """Return the reason if a chosen provider takes no part in a session, else None.

    Providers after the first one run what those before them cannot, so they may have no operators.
    """
    for name, _ in asked:
        if name not in registered:
            return f"the engine could not start {short(name)}"
    first = asked[0][0]
    if counts and not counts.get(first):
        others = ", ".join(f"{short(name)} runs {count}" for name, count in counts.items())
        return f"{short(first)} runs no operator of this model ({others})"
    return None


def check_options(asked: Choice, reported: Mapping[str, Mapping[str, str]]) -> None:
    """Raise WorkloadError for an option that its provider ignores: CPU has none, others report those that they have."""
    for name, options in asked:
        known = reported.get(name, {})
        for key in options:
            if key not in known and (known or name == CPU):
                raise WorkloadError(
                    f"--providers {short(name)}:{key}: the engine ignores this option",
                    f"the options of {short(name)} are {', '.join(known)}"
                    if known
                    else f"{short(name)} has no options",
                )


def cpu_share(provider: str, counts: Mapping[str, int] | None) -> float | None:
    """Return the share of the operators that the CPU runs in place of a provider, None if the CPU is the provider."""
    if provider == CPU or not counts:
        return None
    return counts.get(CPU, 0) / sum(counts.values())
