"""Measures the CPU time of discovery on a host without any sensor, as a whole and by family."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
_ALL = """
import json, sys, time
before = time.process_time()
from probes.model import Roots
from probes.registry import discover
from probes.settings import SensorSettings
empty = sys.argv[1]
roots = Roots(empty, empty, empty + "/libnvidia-ml.so.1", empty, empty, empty)
found = discover(roots, SensorSettings(estimates=False))
spent = time.process_time() - before
assert not found.probes and not found.problems, found
print(json.dumps(spent))
"""
_EACH = """
import json, sys, time
from importlib import import_module
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.registry import FAMILIES
from probes.settings import SensorSettings
empty = sys.argv[1]
roots = Roots(empty, empty, empty + "/libnvidia-ml.so.1", empty, empty, empty)
spent = {}
for family in FAMILIES:
    before = time.process_time()
    try:
        import_module("probes." + family).discover(roots, SensorSettings(estimates=False))
    except ProbeUnavailableError:
        pass
    spent[family] = time.process_time() - before
print(json.dumps(spent))
"""


@dataclass(frozen=True, slots=True)
class Discovery:
    """CPU seconds of a discovery in new processes: median, least, most, and the medians of each family alone."""

    median: float
    least: float
    most: float
    families: Mapping[str, float]


def discovery_without_sensors(repeats: int) -> Discovery:
    """Discover on empty folders; the imports of the families are included, the start of Python is not."""
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-") as empty:
        whole = [float(json.loads(_output(_ALL, empty))) for _ in range(repeats + 1)][1:]
        each = [json.loads(_output(_EACH, empty)) for _ in range(repeats)]
    medians = {family: statistics.median(run[family] for run in each) for family in each[0]}
    return Discovery(statistics.median(whole), min(whole), max(whole), medians)


def _output(code: str, empty: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, "-c", code, empty], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
