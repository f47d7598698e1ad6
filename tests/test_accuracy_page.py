"""The accuracy that the methodology states is that of the benchmark, and bounds hold in all of its windows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"<!-- accuracy -->\n(.*?)<!-- end of accuracy -->", re.DOTALL)
QUICK_AND_WHOLE = 1.6
"""The quick run has a sixteenth of the windows, so its median is that near to the whole run's."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Return the rows of a quick run."""
    path = tmp_path_factory.mktemp("accuracy") / "rows.json"
    command = [sys.executable, str(ROOT / "benchmarks/accuracy.py"), "--quick", "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    rows: list[dict[str, object]] = json.loads(path.read_text())["figures"]["rows"]
    return [row for row in rows if row["waveform"] == "all"]


def test_every_bound_of_every_sensor_holds_on_an_idle_and_on_a_starved_host(shown: list[dict[str, object]]) -> None:
    assert {row["host"] for row in shown} == {"idle", "starved"}
    assert len({row["sensor"] for row in shown}) >= 7
    assert [row for row in shown if row["held"] != row["windows"]] == []


def test_the_page_states_the_bounds_of_the_benchmark(shown: list[dict[str, object]]) -> None:
    widths = {
        (row["sensor"], row["window_seconds"]): row["median_bound_width"] for row in shown if row["host"] == "idle"
    }
    [table] = TABLE.findall((ROOT / "docs/methodology.md").read_text(encoding="utf-8"))
    stated = {}
    for line in table.splitlines()[2:]:
        sensor, window, _, _, bound = (cell.strip() for cell in line.strip("|").split("|"))
        stated[sensor, float(window.removesuffix(" s"))] = float(bound.strip("± %")) / 100
    assert stated.keys() == widths.keys()
    for key, half in stated.items():
        width = widths[key]
        assert isinstance(width, float)
        assert width / 2 / QUICK_AND_WHOLE <= half <= width / 2 * QUICK_AND_WHOLE, key
