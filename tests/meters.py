"""Configured meters, and the reads of their probes, for tests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from probes.model import DiscoveryResult, Roots
from probes.settings import MeterConfig, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from probes.model import Probe

SECOND = 1_000_000_000


def meter(kind: str, url: str, **keys: Any) -> MeterConfig:
    return MeterConfig(keys.pop("name", "desk"), kind, url, **keys)


def secret_file(folder: Path, text: str = "sesame\n", mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def found(discover: Callable[[Roots, SensorSettings], DiscoveryResult], *meters: MeterConfig) -> DiscoveryResult:
    return discover(Roots(), SensorSettings(meters=meters))


def only_probe(result: DiscoveryResult) -> Probe:
    assert not [problem for problem in result.problems if problem.is_unreadable], result.problems
    (probe,) = result.probes
    return probe


def values_of(probe: Probe, at_ns: int) -> dict[str, float]:
    """Return the values of one read by their metrics, without those that are missing."""
    values = zip(probe.channels, probe.read(at_ns), strict=True)
    return {channel.metric: value for channel, value in values if not math.isnan(value)}
