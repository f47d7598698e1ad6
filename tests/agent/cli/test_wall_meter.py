"""A plug at the wall over HTTP, beside counters that move: cross-check, profile, and the facts of the meter."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from command import run
from moving_counters import advancing_counters
from plug_server import SHELLY_2, later_status, plug
from profile_runs import SHORT, TINY, document
from trees import powercap_zone

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

PARTS = {"intel-rapl:0": 60.0, "intel-rapl:0:0": 7.0}
EFFICIENCY, CONSTANT_WATTS = 0.9, 40.0
PATH = "/rpc/Shelly.GetStatus"


class PlugOverCounters(dict[str, Any]):
    """The answers of a plug that measures the energy of some zones over its efficiency, and a constant power."""

    def __init__(self, zones: list[Path]) -> None:
        super().__init__({"/shelly": SHELLY_2, PATH: None})
        self._zones = zones
        self._began, self._first = time.monotonic(), self._joules()
        self._last = (self._began, 0.0)

    def _joules(self) -> float:
        return sum(int((zone / "energy_uj").read_text()) for zone in self._zones) / 1e6

    def __getitem__(self, path: str) -> Any:
        if path != PATH:
            return super().__getitem__(path)
        now = time.monotonic()
        joules = (self._joules() - self._first) / EFFICIENCY + CONSTANT_WATTS * (now - self._began)
        (before, then), self._last = self._last, (now, joules)
        watts = (joules - then) / max(now - before, 1e-3)
        return later_status(round(watts, 1), 1000.0 + joules / 3600)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.CompletedProcess[str]]]:
    """A cross-check and a profile of one socket with memory behind a plug."""
    home, sysfs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("host") / "sys"
    zones = [
        powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000, limit_uw=125_000_000),
        powercap_zone(sysfs, "intel-rapl:0:0", "dram", 1_000_000, limit_uw=20_000_000),
    ]
    with advancing_counters(sysfs, PARTS, swing=0.7, period=14.0), plug(PlugOverCounters(zones)) as state:
        file = home / "config.toml"
        file.write_text(
            f'[[meters]]\nname = "desk"\nkind = "shelly"\nurl = "{state.url}"\n'
            'refresh_seconds = 1.0\naccuracy_class = "1"\ncalibration_date = "2026-02-01"\n',
            encoding="utf-8",
        )
        arguments = ("--config", file, "--path.sysfs", sysfs, "--cpu-budget", 0.3)
        lines = {
            "crosscheck": ("crosscheck", "--duration", 28, "--windows", 4, "--json", *arguments),
            "profile": (*TINY, *SHORT, "--batch", 1, "--json", "--force", "--ambient-celsius", 21.5, *arguments),
        }
        with ThreadPoolExecutor(len(lines)) as pool:
            waiting = {name: pool.submit(run, home, *line) for name, line in lines.items()}
            yield {name: future.result() for name, future in waiting.items()}


@pytest.mark.system
def test_the_plug_is_compared_with_the_counters_behind_it(runs: dict[str, subprocess.CompletedProcess[str]]) -> None:
    result = runs["crosscheck"]
    (check,) = json.loads(result.stdout)["cross_checks"]
    assert check["meters"] == [{"device": "meter-desk", "domain": "wall"}]
    assert [each["domain"] for each in check["below"]] == ["package", "dram"]
    assert check["windows"] == 4
    assert check["verdict"] in {"constant_part_missing", "undetermined"}
    assert result.returncode == {"constant_part_missing": 0, "undetermined": 6}[check["verdict"]]
    if check["slope"]:
        assert check["slope"]["lower"] <= 1 / EFFICIENCY <= check["slope"]["upper"]
        assert check["offset_watts"]["lower"] <= CONSTANT_WATTS <= check["offset_watts"]["upper"]


@pytest.mark.system
def test_a_profile_behind_the_plug_has_its_facts_and_the_boundary_of_the_wall(
    runs: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    found = document(runs["profile"])
    assert found["coverage"]["boundary"] == "wall"
    assert {part["state"] for part in found["coverage"]["parts"]} == {"contained"}
    (meter,) = found["meters"]
    assert (meter["device"], meter["kind"], meter["model"]) == ("meter-desk", "shelly", "SNPL-00112EU")
    assert (meter["accuracy_class"], meter["calibration_date"]) == ("1", "2026-02-01")
    assert found["ambient"]["mean_celsius"] == 21.5
    (check,) = found["cross_checks"]
    assert check["meters"] == [{"device": "meter-desk", "domain": "wall"}]
    assert found["wall_model"] is None
