import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.cpu import model as cpu_model
from probes.cpu.utilization import Package
from probes.errors import ProbeUnavailableError
from probes.estimate.probe import GUEST_HALF_WIDTH, MODEL_HALF_WIDTH, Model, discover
from probes.estimate.table import GENERIC, ROWS, SOURCE, SOURCE_DATE, WattsRow, row_of
from probes.model import Kind, Roots, Source
from trees import FIXTURES, write

PROC = FIXTURES / "proc"
PAGE = Path(__file__).parents[3] / "docs/estimates.md"
ROW = WattsRow("made up", 1.0, 5.0, 0.3, 10, 2)


def stat_of(*cpus: tuple[int, int, int]) -> str:
    """The text of /proc/stat for (number, busy, idle) of each processor."""
    return "\n".join([f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number, busy, idle in cpus] + ["intr 5"])


@pytest.mark.parametrize("row", [*ROWS, GENERIC], ids=lambda row: row.name)
def test_every_row_draws_less_idle_than_busy_and_has_several_results(row):
    assert 0 < row.min_watts < row.max_watts
    assert row.results >= 3
    assert row.spread >= 0
    assert row.threads_per_core in (1, 2)


def test_no_microarchitecture_has_two_rows():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_row_is_of_a_microarchitecture_that_can_be_identified():
    known = {
        *cpu_model._INTEL,
        *(name for *_, name in (*cpu_model._STEPPINGS, *cpu_model._AMD, *cpu_model._BRANDS)),
        *cpu_model._ARM.values(),
    }
    assert {row.name for row in ROWS} <= known


def test_the_generic_row_counts_the_results_of_all_others():
    assert GENERIC.results == sum(row.results for row in ROWS)


def test_the_page_cites_the_source_and_prints_every_row_unchanged():
    page = PAGE.read_text()
    printed = re.findall(r"^\| (.+?) \| (\d+\.\d+) \| (\d+\.\d+) \| (\d+\.\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert printed == [
        (row.name, f"{row.min_watts:.3f}", f"{row.max_watts:.3f}", f"{row.spread:.2f}", str(row.results))
        for row in (*ROWS, GENERIC)
    ]
    assert f"SPECpower-{SOURCE_DATE}.csv" in page
    assert f"| limits of the source | {MODEL_HALF_WIDTH} |" in page
    assert f"| limits of a guest (virtual machines only) | {GUEST_HALF_WIDTH} |" in page


def test_an_unknown_microarchitecture_has_the_generic_row():
    assert row_of("Zen 4 (Genoa)").name == "Zen 4 (Genoa)"
    assert row_of("Cortex-X925 + Cortex-A725") is GENERIC
    assert row_of("") is GENERIC


@pytest.mark.parametrize(("utilization", "watts"), [(0.0, 4.0), (0.5, 12.0), (1.0, 20.0)])
def test_watts_grow_linearly_from_idle_to_busy_for_every_thread(utilization, watts):
    assert Model(ROW, virtual=False).watts(Package(0, (0, 1, 2, 3), (0, 1)), utilization) == watts


@given(utilization=st.floats(0, 1), row=st.sampled_from(ROWS), virtual=st.booleans())
def test_watts_are_between_idle_and_busy_at_any_utilization(utilization, row, virtual):
    model, package = Model(row, virtual), Package(0, tuple(range(8)), tuple(range(4)))
    watts = model.watts(package, utilization)
    assert 8 * row.min_watts <= watts <= 8 * row.max_watts * (1 + 1e-12)


def test_unknown_utilization_gives_no_watts():
    assert math.isnan(Model(ROW, virtual=False).watts(Package(0, (0,), (0,)), math.nan))


def test_cores_with_disabled_second_threads_count_for_two():
    package = Package(0, (0, 1, 2), (0, 1, 2))
    assert Model(ROW, virtual=False).threads(package) == 6
    assert Model(row_of("Neoverse N1"), virtual=False).threads(package) == 3


def test_the_processors_of_a_guest_count_once_in_any_topology():
    assert Model(ROW, virtual=True).threads(Package(0, (0, 1, 2), (0, 1, 2))) == 3
    assert Model(ROW, virtual=True).threads(Package(0, (0, 1, 2, 3), (0, 1))) == 4


@pytest.mark.parametrize("row", [*ROWS, GENERIC], ids=lambda row: row.name)
def test_the_uncertainty_covers_the_spread_and_more_for_a_guest(row):
    bare, guest = Model(row, virtual=False).uncertainty, Model(row, virtual=True).uncertainty
    assert bare == pytest.approx(math.sqrt(row.spread**2 + 0.4**2))
    assert guest > bare > max(row.spread, 0.3)


def test_the_estimate_of_a_guest_states_its_basis(tmp_path):
    for name in ("cpuinfo", "stat"):
        write(tmp_path / name, (PROC / "xeon_guest" / name).read_text())
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(tmp_path))).probes
    joules, channel = probe.channels
    assert joules == replace(channel, metric="energy_joules")
    assert (channel.device.id, channel.device.kind, channel.domain) == ("package-0", Kind.CPU, "package")
    assert (channel.metric, channel.source, channel.method) == ("power_watts", Source.ESTIMATED, "model")
    assert channel.uncertainty == pytest.approx(math.sqrt(0.30**2 + 0.4**2 + 0.3**2), abs=0.005)
    assert channel.device.name == "Intel(R) Xeon(R) Processor"
    assert dict(channel.device.attributes) == {
        "microarchitecture": "Emerald Rapids",
        "virtual": "yes",
        "estimate_row": "Emerald Rapids",
        "estimate_source": f"{SOURCE}, {SOURCE_DATE}, 32 results",
        "estimate_covers": "a server's share at the wall, without accelerators",
        "estimate_threads": "2",
        "estimate_min_watts": "1.6",
        "estimate_max_watts": "6.6",
    }
    probe.close()


def test_the_page_explains_every_attribute_of_the_estimate():
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(PROC / "xeon_guest"))).probes
    page = PAGE.read_text()
    assert [name for name, _ in probe.channels[0].device.attributes if f"`{name}`" not in page] == []
    probe.close()


def test_each_package_is_estimated_by_its_own_utilization(tmp_path):
    for number in range(8):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        write(topology / "physical_package_id", number // 2 % 2)
        write(topology / "core_cpus_list", f"{number % 4},{number % 4 + 4}")
    for name in ("cpuinfo", "stat"):
        write(tmp_path / "proc" / name, (PROC / "epyc_two_packages" / name).read_text())
    (probe,) = discover(Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))).probes
    assert [(channel.device.id, channel.metric) for channel in probe.channels] == [
        ("package-0", "energy_joules"),
        ("package-1", "energy_joules"),
        ("package-0", "power_watts"),
        ("package-1", "power_watts"),
    ]
    assert probe.read(1) == pytest.approx([0.0, 0.0, math.nan, math.nan], nan_ok=True)
    write(tmp_path / "proc/stat", stat_of(*[(n, 200, 900) if n // 2 % 2 else (n, 100, 1000) for n in range(8)]))
    genoa = row_of("Zen 4 (Genoa)")
    watts = [4 * genoa.min_watts, 4 * genoa.max_watts]
    assert probe.read(500_000_001) == pytest.approx([watts[0] / 2, watts[1] / 2, *watts])
    probe.close()


def test_a_package_without_an_online_processor_has_no_value(tmp_path):
    for number in range(2):
        write(tmp_path / f"devices/system/cpu/cpu{number}/topology/physical_package_id", number)
    write(tmp_path / "stat", stat_of((0, 0, 0), (1, 0, 0)))
    (probe,) = discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path))).probes
    probe.read(1)
    write(tmp_path / "stat", stat_of((0, 0, 10)))
    *joules, first, second = probe.read(1_000_000_001)
    assert first == pytest.approx(2 * GENERIC.min_watts)
    assert math.isnan(second)
    assert joules == pytest.approx([first, math.nan], nan_ok=True)
    probe.close()


def test_an_unknown_processor_is_estimated_by_the_generic_row_and_reports_it(tmp_path):
    write(tmp_path / "stat", stat_of((0, 0, 0)))
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(tmp_path))).probes
    attributes = dict(probe.channels[0].device.attributes)
    assert (attributes["microarchitecture"], attributes["estimate_row"]) == ("unknown", "generic")
    assert probe.channels[0].uncertainty == pytest.approx(math.hypot(GENERIC.spread, 0.4), abs=0.005)
    probe.close()


def test_discovery_without_a_readable_stat_raises_unavailable(tmp_path):
    with pytest.raises(ProbeUnavailableError) as caught:
        discover(Roots(procfs=str(tmp_path)))
    assert str(tmp_path) in caught.value.reason
