"""Every disturbance of a measurement is reported before it starts, with its remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent.host.checks import (
    Check,
    Verdict,
    check_host,
    clock_governor,
    cpu_load,
    disk_space,
    processor_power,
    thermal,
    virtual_machine,
)
from fake_probes import FakeProbe
from probes.model import Channel, Device, Kind, Roots
from probes.registry import Discovery, discover
from probes.settings import SensorSettings
from trees import FIXTURES, powercap_zone, write

if TYPE_CHECKING:
    from pathlib import Path

BARE_METAL = str(FIXTURES / "proc/epyc_two_packages")


def roots(sysfs: Path, procfs: str | Path = BARE_METAL) -> Roots:
    return Roots(str(sysfs), str(procfs), "/nowhere/libnvidia-ml.so.1")


def power(sysfs: Path, *, estimates: bool = True) -> Check:
    found = discover(roots(sysfs), SensorSettings(estimates))
    try:
        return processor_power(found)
    finally:
        found.close()


def test_processor_power_is_measured_estimated_or_missing(tmp_path: Path) -> None:
    powercap_zone(tmp_path / "with", "intel-rapl:0", "package-0", 5)
    measured = power(tmp_path / "with")
    assert (measured.verdict, measured.found) == (Verdict.PASS, "measured by package-0/package")
    estimated = power(tmp_path / "without")
    assert estimated.verdict is Verdict.WARN
    assert estimated.found.startswith("estimated to ±")
    assert "modprobe intel_rapl_msr" in estimated.remedy
    missing = power(tmp_path / "without", estimates=False)
    assert missing.verdict is Verdict.FAIL
    assert "--estimates" in missing.remedy


def test_a_meter_of_the_host_includes_the_processors_and_one_of_the_rack_does_not() -> None:
    verdicts = {}
    for domain in ("wall", "feed", "rack"):
        probe = FakeProbe()
        probe.channels = (Channel(Device("meter-desk", Kind.HOST), domain, "power_watts"),)
        verdicts[domain] = processor_power(Discovery((probe,), (), ())).verdict
    assert verdicts == {"wall": Verdict.PASS, "feed": Verdict.PASS, "rack": Verdict.FAIL}


def test_the_check_names_the_excluded_sensors_if_nothing_covers_the_processors(tmp_path: Path) -> None:
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    found = discover(roots(tmp_path), SensorSettings(estimates=False, exclude=("rapl",)))
    check = processor_power(found)
    found.close()
    assert check.verdict is Verdict.FAIL
    assert "(excluded: rapl)" in check.found
    assert "exclude no sensor" in check.remedy


def test_a_virtual_machine_is_a_warning() -> None:
    assert virtual_machine(virtual=True).verdict is Verdict.WARN
    assert virtual_machine(virtual=False).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("governors", "verdict", "words"),
    [
        ([], Verdict.PASS, "reports none"),
        (["performance", "performance"], Verdict.PASS, "performance"),
        (["powersave", "performance"], Verdict.WARN, "performance, powersave: the clocks follow the load"),
    ],
)
def test_governors_that_follow_the_load_are_a_warning(
    tmp_path: Path, governors: list[str], verdict: Verdict, words: str
) -> None:
    for number, governor in enumerate(governors):
        write(tmp_path / f"devices/system/cpu/cpu{number}/cpufreq/scaling_governor", governor)
    check = clock_governor(tmp_path)
    assert check.verdict is verdict
    assert words in check.found


def zone(sysfs: Path, number: int, kind: str, now: int, **trips: int) -> None:
    folder = sysfs / f"class/thermal/thermal_zone{number}"
    write(folder / "type", kind)
    write(folder / "temp", now)
    for place, (name, limit) in enumerate(trips.items()):
        write(folder / f"trip_point_{place}_type", name)
        write(folder / f"trip_point_{place}_temp", limit)


def test_a_hanging_thermal_zone_is_a_warning_and_blocks_no_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.host.checks._CHECK_TIMEOUT_SECONDS", 0.2)
    zone(tmp_path, 0, "x86_pkg_temp", 60_000)
    hanging = tmp_path / "class/thermal/thermal_zone0/temp"
    hanging.unlink()
    os.mkfifo(hanging)
    checks = check_host(Roots(str(tmp_path)), Discovery((), (), ()), ":memory:", virtual=False)
    (check,) = (each for each in checks if each.name == "temperature")
    assert (check.verdict, check.found) == (Verdict.WARN, "unknown: no answer within 0.2 s")
    assert "dmesg" in check.remedy
    os.close(os.open(hanging, os.O_WRONLY))


def test_a_processor_close_to_throttling_is_a_warning(tmp_path: Path) -> None:
    assert thermal(tmp_path).found.startswith("no thermal zone is readable")
    zone(tmp_path, 0, "acpitz", 27_800, critical=105_000, active=20_000)
    zone(tmp_path, 1, "x86_pkg_temp", 60_000, passive=0, hot=-274_000)
    cool = thermal(tmp_path)
    assert (cool.verdict, cool.found) == (Verdict.PASS, "1 thermal zones, none near its limit")
    zone(tmp_path, 2, "x86_pkg_temp", 96_000, critical=110_000, passive=100_000)
    hot = thermal(tmp_path)
    assert (hot.verdict, hot.found) == (Verdict.WARN, "x86_pkg_temp is at 96 °C and throttles from 100 °C")
    assert hot.remedy


def test_the_busiest_process_is_named() -> None:
    spin = "import sys, threading\nprint('spins', flush=True)\nwhile True: pass"
    busy = [
        subprocess.Popen([sys.executable, "-I", "-c", spin], stdout=subprocess.PIPE) for _ in range(os.cpu_count() or 1)
    ]
    try:
        for process in busy:
            assert process.stdout.readline() == b"spins\n"
        check = cpu_load(Roots())
    finally:
        for process in busy:
            process.kill()
            process.wait()
            process.stdout.close()
    assert check.verdict is Verdict.WARN
    assert " % busy, most of all process " in check.found
    assert "top" in check.remedy


def test_unknown_load_is_reported_as_unknown(tmp_path: Path) -> None:
    assert cpu_load(roots(tmp_path)).found == "unknown: the counters of /proc/stat do not change"
    nowhere = cpu_load(roots(tmp_path, tmp_path / "no-proc"))
    assert nowhere.verdict is Verdict.WARN
    assert "--path.procfs" in nowhere.remedy


def test_free_space_is_checked_on_the_disk_of_the_database(tmp_path: Path) -> None:
    for database in (tmp_path / "new/folder/store.db", f"sqlite:///{tmp_path}/store.db", tmp_path / "file/under/it"):
        write(tmp_path / "file", 1)
        check = disk_space(str(database))
        assert f"GB free at {tmp_path}" in check.found
    assert disk_space("postgresql://user@host/database").verdict is Verdict.PASS
    assert not (tmp_path / "new").exists()


def test_check_host_runs_every_check(tmp_path: Path) -> None:
    found = discover(roots(tmp_path))
    checks = check_host(roots(tmp_path), found, str(tmp_path / "store.db"), virtual=True)
    found.close()
    names = [check.name for check in checks]
    quiet = ["clock governor", "temperature", "other load", "disk space"]
    assert names == ["processor power", "virtual machine", "CPU limit", *quiet]
    assert all(check.remedy for check in checks if check.verdict is not Verdict.PASS)


def test_an_unreadable_sensor_of_the_processors_is_reported_with_cause_and_remedy(tmp_path: Path) -> None:
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", "N/A")  # type: ignore[arg-type]
    check = power(tmp_path)
    assert check.verdict is Verdict.WARN
    assert "package-0" in check.found
    assert "'N/A' is not a number" in check.found
    assert "update the kernel" in check.remedy
