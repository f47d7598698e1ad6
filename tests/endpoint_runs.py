"""Runs of `profile endpoint` on scripted servers, each of which drives the counter of a tree of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from command import run
from profile_runs import document
from scripted_answers import Answer
from scripted_server import ScriptedServer
from trees import powercap_zone

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    Answers = Sequence[Answer] | Callable[[int, Any], Answer]
    Runs = dict[str, subprocess.CompletedProcess[str]]

IDLE_WATTS, JOULES = 20.0, 2.0
"""The power of every server, and the energy of one request."""
TOKENS = 8
STEADY = Answer(first_seconds=0.5, gap_seconds=0.01, tokens=TOKENS, joules=JOULES, cached_tokens=3)
SHORT = ("--idle-seconds", 0.5, "--warmup-seconds", 0, "--window-seconds", 2, "--force", "--json")
CONSTANT = ("--arrivals", "constant")
PROMPT = ("--prompt-tokens", 16)
LONGEST_SECONDS = 420.0
"""A search takes half a minute, on a busy test host ten times as long."""
LONGEST_GAP_SECONDS = 0.05
"""The longest time between two writes of a counter with which energies are exact enough for these tests."""


@dataclass(frozen=True)
class Load:
    """A run: its options, the answers of its server, the number that the server answers at once, the output tokens."""

    answers: Answers
    options: tuple[object, ...]
    slots: int | None = None
    tokens: int = TOKENS
    needs_energy: bool = False


def run_all(home: Path, folder: Path, loads: Mapping[str, Load]) -> Runs:
    """Run all loads, two at a time; they store in one home."""
    with ThreadPoolExecutor(2) as pool:
        waiting = {name: pool.submit(_run, home, folder / name, load) for name, load in loads.items()}
        return {name: future.result() for name, future in waiting.items()}


def _run(home: Path, sysfs: Path, load: Load) -> subprocess.CompletedProcess[str]:
    """Run a profile, up to five times if it needs energy: tests beside this one can take all CPUs."""
    energy = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000) / "energy_uj"
    with ScriptedServer(load.answers, slots=load.slots, idle_watts=IDLE_WATTS, energy_file=energy) as server:
        line = ("profile", "endpoint", "--url", server.url, "--path.sysfs", sysfs, *PROMPT, *SHORT, *load.options)
        for _ in range(5):
            server.longest_gap = 0.0
            result = run(home, *line, "--output-tokens", load.tokens, longest_seconds=LONGEST_SECONDS)
            is_exact = server.longest_gap < LONGEST_GAP_SECONDS and "no energy for" not in result.stderr
            if is_exact or not load.needs_energy:
                break
    return result


def only_point(runs: Runs, name: str) -> dict[str, Any]:
    """Return the one point of a run that succeeded."""
    assert runs[name].returncode == 0, runs[name].stderr
    (point,) = document(runs[name])["points"]
    return point
