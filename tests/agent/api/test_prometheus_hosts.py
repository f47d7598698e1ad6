"""The documented queries, the rules and the dashboard on two real services: a virtual machine and a server."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fake_nvml
from daemons import configure, running
from prometheus_server import RULES, needs_prometheus, needs_promtool, prometheus, query
from trees import powercap_zone
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent.parent.parent.parent / "docs"
TARIFF = 'price_per_kwh = 0.25\ncurrency = "EUR"\ncapital = 20000\n'
WATTS = {"intel-rapl:0": 120, "intel-rapl:0:0": 30}
WAIT_SECONDS = 120.0

ON_EVERY_HOST = ("inferometer_host_power_watts", "inferometer_host_energy_joules_total", "inferometer_host_cost_total")
OF_FAULTS = ("probe_up == 0", "1 - inferometer_probe_up", "rejected", "throttled")
"""Parts of the queries that return data only during a fault, or if a driver counts throttled time."""


@contextmanager
def moving(files: dict[Path, int]) -> Iterator[None]:
    """Advance energy counters at these powers."""
    ended, began = threading.Event(), time.monotonic()

    def move() -> None:
        while not ended.wait(0.02):
            for path, watts in files.items():
                with path.open("r+") as file:
                    file.write(str(round((1000 + watts * (time.monotonic() - began)) * 1e6)))

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def documented() -> list[str]:
    return re.findall(r"```promql\n(.*?)```", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.DOTALL)


def drawn() -> list[str]:
    """Return the queries of the dashboard as Grafana sends them for all hosts."""
    dashboard = json.loads((DOCS / "prometheus/dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [each.replace("$instance", ".*").replace("$__rate_interval", "1m") for each in expressions]


def recorded() -> list[str]:
    return re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8"))


@needs_prometheus
def test_the_queries_return_data_on_a_virtual_machine_and_on_a_server(tmp_path: Path) -> None:
    machine, server, own = (tmp_path / name for name in ("machine", "server", "prometheus"))
    for folder in (machine, server, own):
        folder.mkdir()
    (tmp_path / "tariff.toml").write_text(TARIFF)
    tariff = f'tariff = "{tmp_path / "tariff.toml"}"'
    (machine / "sys/class").mkdir(parents=True)
    configure(machine, tariff, sampling="period_seconds = 0.5", procfs=Path("/proc"))
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.H100, replace(fake_nvml.A100, energy_joules=None)])  # one without counter
    zones = {
        zone: powercap_zone(server / "sys", zone, name, 1_000_000, 262_143_999_939)
        for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram"))
    }
    configure(server, tariff, sampling="period_seconds = 0.5", library=library)
    files = {path / "energy_uj": WATTS[zone] for zone, path in zones.items()}
    expressions = {*documented(), *drawn(), *recorded()}
    found: dict[str, set[str]] = {}
    with (
        moving(files),
        running(machine) as first,
        running(server) as second,
        prometheus(own, {"machine": first.address, "server": second.address}) as address,
    ):
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and missing(found, expressions):
            time.sleep(2.0)
            for expression in expressions:
                for series in query(address, expression) or ():
                    found.setdefault(expression, set()).add(series["metric"].get("instance", "all"))
        expected = pytest.approx(sum(WATTS.values()) + fake_nvml.H100.watts + fake_nvml.A100.watts, rel=0.1)
        watts: dict[str, Any] = {}

        def is_expected() -> bool:
            """Return whether the last power is right: a busy host advances a counter late, and then catches up."""
            nonlocal watts
            (watts,) = query(address, 'inferometer_host_power_watts{instance="server"}') or [{"value": [0, 0]}]
            return float(watts["value"][1]) == expected

        await_true(is_expected)
        (ratio,) = query(address, 'inferometer_power_uncertainty_ratio{instance="machine"}') or [{}]
        counted = query(address, 'inferometer_host_channel_info{instance="server"}') or []
        uncovered = query(address, 'inferometer_host_uncovered_info{instance="server"}') or []
    assert not missing(found, expressions)
    assert watts["metric"].items() >= {"boundary": "components", "source": "measured"}.items()
    assert float(ratio["value"][1]) > 0
    assert {(each["metric"]["device"], each["metric"]["domain"]) for each in counted} == {
        ("package-0", "package"),
        ("package-0", "dram"),
        (fake_nvml.H100.uuid, "board"),
        (fake_nvml.A100.uuid, "board"),
    }
    assert "power supply losses" in {each["metric"]["part"] for each in uncovered}


def missing(found: dict[str, set[str]], expressions: set[str]) -> list[tuple[str, set[str]]]:
    """Return the queries without data, with the hosts that have some."""
    lacking = []
    for expression in expressions:
        hosts = found.get(expression, set())
        if any(part in expression for part in OF_FAULTS):
            continue
        on_every_host = any(name in expression for name in ON_EVERY_HOST) or expression.startswith("instance:")
        wanted = {"machine", "server"} if on_every_host else set()
        if not hosts or not wanted <= hosts:
            lacking.append((expression, hosts))
    return lacking


@needs_promtool
def test_promtool_accepts_the_rules_and_their_tests() -> None:
    for verb, file in (("check", RULES), ("test", RULES.with_suffix(".test.yml"))):
        done = subprocess.run(
            ["promtool", verb, "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_rules_and_the_dashboard_is_documented() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    used = set(re.findall(r"\binferometer_\w+", RULES.read_text(encoding="utf-8") + " ".join(drawn())))
    assert {name for name in used if f":{name}:" not in RULES.read_text(encoding="utf-8")} <= known


@pytest.mark.parametrize("dashboard", ["dashboard.json", "fleet-dashboard.json"])
def test_every_panel_of_the_dashboards_has_a_position_and_a_query(dashboard: str) -> None:
    panels = json.loads((DOCS / "prometheus" / dashboard).read_text(encoding="utf-8"))["panels"]
    assert [panel["id"] for panel in panels] == [number for number, _ in zip(count(1), panels, strict=False)]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["targets"]
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_every_series_of_the_fleets_dashboard_is_recorded_or_exported() -> None:
    dashboard = json.loads((DOCS / "prometheus/fleet-dashboard.json").read_text(encoding="utf-8"))
    used = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    rules = (DOCS / "prometheus/fleet-rules.yml").read_text(encoding="utf-8")
    recorded = set(re.findall(r"record: (\S+)", rules))
    exported = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE))
    names = set(re.findall(r"(?:\w+:)?inferometer_\w+(?::\w+)?", used))
    assert names <= recorded | exported
    assert names & recorded
    assert "sum by (site" in used
