"""The probe's assumptions about the driver, against the measurements of a real H200."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import fake_nvml
from fake_nvml import BANDWIDTH, ENERGY, FIELDS, H200, SM, TENSOR
from nvml_reading import GpuDiscovery
from probes.nvml.probe import INTERVAL_NS
from probes.nvml.sensors import REFRESH_SECONDS
from trees import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEASURED: dict[str, Any] = json.loads((FIXTURES / "nvml/h200.json").read_text())
PAGE = FIXTURES.parents[1] / "docs/methodology.md"
LOADED = ("matmul", "copies")
PEAK_BYTES_PER_SECOND = 4.8e12
"""The memory bandwidth in NVIDIA's data sheet of the H200."""
_UINT, _ULONG_LONG = 1, 3
MILLISECOND_US = 1000.0


STATES = ("idle", "matmul")
COSTS = (
    ("the energy counter", "calls", ENERGY),
    ("the energy as a field", "together", "energy"),
    ("the instant power", "together", "instant power"),
    ("instant, average and memory power", "together", "power"),
    ("the throttled times", "together", "throttled time"),
    ("the utilization", "calls", "nvmlDeviceGetUtilizationRates"),
    ("the processes' shares", "calls", "nvmlDeviceGetProcessUtilization"),
)


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def answers() -> tuple[dict[str, int], dict[str, int]]:
    """The answers of every field, and the codes of those that it refused."""
    fields = {f"{FIELDS}:{key}": field for key, field in MEASURED["fields"].items()}
    raw = {key: field["value"] for key, field in fields.items() if not field["return"]}
    return raw, {key: field["return"] for key, field in fields.items() if field["return"]}


def gaps_ms(name: str) -> list[float]:
    moments = [at for at, _ in MEASURED[name]["seen"]]
    return [(later - earlier) * 1e3 for earlier, later in pairwise(moments[1:])]


def test_the_probes_find_the_sensors_that_they_found_on_the_hardware(discover_gpus: GpuDiscovery) -> None:
    raw, errors = answers()
    energy = MEASURED["calls"][ENERGY]["answer"]
    shares = dict.fromkeys((SM, TENSOR, BANDWIDTH), 0.0)
    found = discover_gpus(replace(H200, raw=raw | {ENERGY: energy}, errors=errors, activity=shares))
    assert not found.problems
    channels = [(c.domain, c.metric, c.method) for probe in found.probes for c in probe.channels]
    on_hardware = [tuple(channel[:3]) for channel in MEASURED["probe, idle"]["channels"]]
    assert channels == [each for each in on_hardware if not each[0].startswith("pcie")]
    read = dict(zip([c[:2] for c in channels], [v for p in found.probes for v in p.read(1)], strict=True))
    assert read["board", "power_watts"] == MEASURED["fields"]["186:0"]["value"] / 1000
    assert read["memory", "power_watts"] == MEASURED["fields"]["185:2"]["value"] / 1000
    assert read["board", "energy_joules"] == energy / 1000


def test_throttled_time_is_in_nanoseconds_and_grows_with_the_time_at_the_power_limit() -> None:
    load = MEASURED["energy, matmul"]
    assert set(load["reasons"]) == {"0x4"}
    first, last = load["throttled"]["74"]
    assert (last - first) / 1e9 == pytest.approx(load["seconds"], rel=0.01)
    assert load["throttled"]["75"] == [0, 0]


@pytest.mark.parametrize("state", ["idle", "matmul"])
def test_the_energy_counter_refreshes_every_100_ms(state: str) -> None:
    gaps = gaps_ms(f"refresh of energy, {state}")
    assert len(gaps) >= 10
    assert all(gap == pytest.approx(REFRESH_SECONDS * 1e3, rel=0.05) for gap in gaps)


def test_samples_less_than_100_ms_apart_show_a_busy_gpu_as_idle() -> None:
    spans = MEASURED["gpm, matmul"]["spans"]
    assert spans["0.05"][str(TENSOR)] == 0.0
    assert spans["0.1"][str(TENSOR)] == pytest.approx(spans["0.5"][str(TENSOR)], rel=0.01)
    assert INTERVAL_NS >= 2 * 100_000_000


def test_busy_shares_separate_computing_from_moving_memory_and_are_those_of_the_work() -> None:
    computing, copying = (MEASURED[f"gpm, {load}"]["spans"]["0.5"] for load in LOADED)
    assert computing[str(TENSOR)] > 90.0
    assert computing[str(BANDWIDTH)] < 20.0
    assert copying[str(TENSOR)] == 0.0
    moved = json.loads(MEASURED["work of copies"])["per_second"]
    assert copying[str(BANDWIDTH)] / 100 == pytest.approx(moved / PEAK_BYTES_PER_SECOND, rel=0.01)


def test_the_pcie_counters_have_32_bits_and_wrapped_between_two_reads() -> None:
    assert {MEASURED["fields"][key]["type"] for key in ("197:0", "198:0")} == {_UINT}
    assert MEASURED["fields"]["74:0"]["type"] == _ULONG_LONG
    idle, loaded = (
        {
            domain: value
            for domain, metric, _, value in MEASURED[f"probe, {state}"]["channels"]
            if metric == "link_bytes"
        }
        for state in STATES
    )
    assert loaded["pcie-transmitted"] < idle["pcie-transmitted"] < 2**32


@pytest.mark.parametrize(
    ("load", "field", "error"), [("matmul", "186", 0.001), ("matmul", "185", 0.003), ("pulses", "186", 0.01)]
)
def test_the_integrated_power_agrees_with_the_energy_counter(load: str, field: str, error: float) -> None:
    measured = MEASURED[f"energy, {load}"]
    assert measured["integrals"][field]["joules"] == pytest.approx(measured["counter_joules"], rel=error)


def test_the_page_has_the_measured_figures() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("<!-- h200 -->\n")[2].partition("<!-- end of h200 -->")[0]
    assert page == table()


def table() -> str:
    """The table of the page, from the measurements."""
    rows = [("quantity", "idle", "products of matrices"), ("---", "---", "---")]
    rows.append(("refresh of the energy counter", *(_spread(gaps_ms(f"refresh of energy, {s}")) for s in STATES)))
    rows += [(f"a read of {what}", *(_cost(name, call, state) for state in STATES)) for what, name, call in COSTS]
    rows.append(("a sample of performance counters, and three shares", *map(_sample, STATES)))
    for name, metric in (("multiprocessors", SM), ("tensor cores", TENSOR), ("memory bandwidth", BANDWIDTH)):
        shares = (MEASURED[f"gpm, {state}"]["spans"]["0.5"][str(metric)] for state in STATES)
        rows.append((f"busy share of the {name}", *(f"{share:.1f} %" for share in shares)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _spread(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f} ms"


def _cost(section: str, call: str, state: str) -> str:
    measured = MEASURED[section if state == "idle" else f"{section}, {state}"][call]
    text, cpu_us = _time(measured["us"][1]), measured["cpu_us"]
    return f"{text}, {_time(cpu_us)} of CPU time" if cpu_us >= MILLISECOND_US else text


def _sample(state: str) -> str:
    measured = MEASURED[f"gpm, {state}"]
    return _time(measured["sample"]["us"][1] + measured["three metrics"]["us"][1])


def _time(microseconds: float) -> str:
    return f"{microseconds / 1e3:.1f} ms" if microseconds >= MILLISECOND_US else f"{microseconds:.0f} µs"
