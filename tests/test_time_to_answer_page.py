"""The coverage that the methodology states is that of the benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = """
import noise, time_to_answer
kind = next(each for each in noise.NOISES if each.name == {name!r})
cell = time_to_answer.cell(kind, {spread}, time_to_answer.RUNS, {{}})
print(f"{{cell.coverage:.1f}} %, {{cell.seconds:.0f}} s")
"""


@pytest.mark.parametrize(
    ("name", "column", "spread"), [("iid normal", 4, 0.01), ("two-state clock, 2 repeats", 5, 0.02)]
)
def test_the_page_states_the_coverage_and_the_time_of_the_benchmark(name: str, column: int, spread: float) -> None:
    text = (ROOT / "docs/methodology.md").read_text(encoding="utf-8")
    [row] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    code = CODE.format(name=name, spread=spread)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "benchmarks", check=True, capture_output=True, text=True, timeout=300)
    assert row.split("|")[column].strip() == done.stdout.strip()
