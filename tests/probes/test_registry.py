import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

import fake_nvml
from probes import registry
from probes.model import ENERGY_METRICS, DiscoveryResult, Roots, Source
from probes.settings import SensorSettings
from trees import copy_tree, hwmon_chip, powercap_zone, write

STAT = Path(__file__).parent.parent / "fixtures/proc/xeon_guest"


def discover(sysfs, *, estimates=True, exclude=(), nvml_library="/nowhere/libnvidia-ml.so.1", **more):
    settings = SensorSettings(estimates, exclude)
    found = registry.discover(Roots(str(sysfs), str(STAT), nvml_library), settings, **more)
    found.close()
    return found


def families(found):
    return {probe.name.partition("/")[0] for probe in found.probes}


def sources(found):
    return {channel.source for probe in found.probes for channel in probe.channels if channel.metric in ENERGY_METRICS}


def test_a_host_without_sensors_is_estimated_and_lists_the_missing_families(tmp_path):
    found = discover(tmp_path)
    assert families(found) == {"cpu", "memory", "estimate"}
    assert sources(found) == {Source.ESTIMATED}
    assert {missing.family for missing in found.missing_families} == {*registry.FAMILIES} - {"cpu", "memory"}


def test_without_estimates_there_is_no_power_at_all(tmp_path):
    assert sources(discover(tmp_path, estimates=False)) == set()


def test_measured_processors_are_not_estimated(tmp_path):
    found = discover(copy_tree("intel_server_2s", tmp_path / "tree"))
    assert families(found) == {"cpu", "memory", "rapl"}


def test_a_gpu_beside_unmeasured_processors_leaves_them_estimated(tmp_path):
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.H100])
    found = discover(tmp_path / "sys", nvml_library=str(library))
    assert families(found) == {"cpu", "memory", "nvml", "estimate"}
    assert sources(found) == {Source.MEASURED, Source.ESTIMATED}


@pytest.mark.parametrize(
    ("device", "attributes"),
    [
        ("platform/ACPI000D:00", {"name": "power_meter", "power1_average": 400_000_000}),
        ("platform/APMC0D29:00", {"name": "apm_xgene", "power1_input": 16_280_000, "power1_label": "CPU power"}),
        ("platform/scmi_dev.5", {"name": "scmi_sensors", "power1_input": 12_500_000, "power1_label": "SOC_PWR"}),
        ("i2c-7/7-0058", {"name": "pmbus", "power1_input": 210_000_000, "power1_label": "pin"}),
        ("i2c-7/7-0059", {"name": "pmbus", "power1_input": 190_000_000, "power1_label": "pout1"}),
        ("platform/NVDA8800:00", {"name": "spbm", "power1_input": 45_000_000, "power1_label": "dc_input"}),
        ("pci0000:00/0000:c4:00.0", {"name": "amdgpu", "power1_input": 17_000_000, "in1_label": "vddnb"}),
        (
            "i2c-1/1-0040",
            {"name": "ina3221", "in2_label": "VDD_CPU_CV", "in2_input": 5000, "curr2_input": 1200},
        ),
    ],
)
def test_a_meter_of_a_container_of_the_processors_replaces_the_estimate(tmp_path, device, attributes):
    hwmon_chip(tmp_path, 0, device, attributes)
    found = discover(tmp_path)
    assert families(found) == {"cpu", "memory", "hwmon"}


def test_module_power_of_a_gpu_that_shares_its_module_with_a_processor_replaces_the_estimate(tmp_path):
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, fake_nvml.GB200)
    assert "estimate" in families(discover(tmp_path / "sys", nvml_library=str(library)))
    for address in ("0000:29:00.0", "0000:3f:00.0"):
        write(tmp_path / "sys/bus/pci/devices" / address / "local_cpulist", "0-71")
    write(tmp_path / "sys/devices/system/cpu/cpu0/topology/physical_package_id", 0)
    assert "estimate" not in families(discover(tmp_path / "sys", nvml_library=str(library)))


def test_a_meter_of_a_card_does_not_replace_the_estimate(tmp_path):
    assert "estimate" in families(discover(copy_tree("gaudi2", tmp_path / "tree")))


def test_a_zone_of_a_part_of_the_processor_does_not_replace_the_estimate(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", "N/A")
    powercap_zone(tmp_path, "intel-rapl:0:0", "dram", 5_000_000)
    found = discover(tmp_path)
    assert {"rapl", "estimate"} <= families(found)
    assert [problem.sensor.split()[0] for problem in found.problems] == ["package-0"]


def test_families_are_imported_one_after_the_other(tmp_path, monkeypatch):
    """Python lets one of two threads fail that import modules of each other in opposite orders."""
    importing, most = [], []

    def imported(name):
        importing.append(name)
        most.append(len(importing))
        time.sleep(0.001)
        importing.remove(name)
        return import_module(name)

    monkeypatch.setattr(registry, "import_module", imported)
    discover(tmp_path)
    assert len(most) >= len(registry.FAMILIES)
    assert set(most) == {1}


def test_a_fault_in_one_family_does_not_affect_the_others(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such thing")

    monkeypatch.setattr("probes.memory.discover", broken)
    found = discover(tmp_path)
    assert families(found) == {"cpu", "estimate"}
    (problem,) = found.problems
    assert "memory" in problem.sensor
    assert "no such thing" in problem.reason


def test_a_hanging_driver_affects_only_its_own_family(tmp_path, monkeypatch):
    released = threading.Event()
    closed = threading.Event()

    class Late:
        name, files_only, channels = "nvml/late", False, ()

        def close(self):
            closed.set()

    def hanging(*_):
        assert released.wait(60)
        return DiscoveryResult((Late(),))

    monkeypatch.setattr("probes.nvml.discover", hanging)
    found = registry.discover(Roots(str(tmp_path), str(STAT), ""), deadline_seconds=5.0)
    assert families(found) == {"cpu", "memory", "estimate"}
    (problem,) = found.problems
    assert problem.sensor == "everything of nvml"
    assert "within 5 s" in problem.reason
    released.set()
    assert closed.wait(60)  # a late probe is closed


@pytest.mark.system
def test_a_hanging_driver_library_does_not_hang_the_command(tmp_path):
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.Gpu("GPU-slow", delay_seconds=0.3)])
    found = discover(tmp_path, nvml_library=str(library), deadline_seconds=0.05)
    assert [problem.sensor for problem in found.problems] == ["everything of nvml"]
    found.close()
    for thread in threading.enumerate():  # the next test changes the state of the same library
        if thread.name == "discover-nvml":
            thread.join(120)
    assert fake_nvml.open_sessions(library) == 0


def test_every_probe_is_closed_even_if_one_fails_to_close():
    closed = []

    class Closing:
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def close(self):
            closed.append(self.name)
            if self.error:
                raise self.error

    probes = Closing("a", OSError("busy")), Closing("b", RuntimeError("a fault")), Closing("c")
    with pytest.raises((OSError, RuntimeError)):
        registry.Discovery(probes, (), ()).close()
    assert closed == ["a", "b", "c"]


def names(found):
    return {channel.path for probe in found.probes for channel in probe.channels}


def test_excluded_family_is_not_searched(tmp_path, monkeypatch):
    searched = []

    def search(*_):
        searched.append("hwmon")
        return DiscoveryResult()

    monkeypatch.setattr("probes.hwmon.discover", search)
    found = discover(copy_tree("intel_server_2s", tmp_path / "tree"), exclude=("hwmon", "nvml"))
    assert searched == []
    assert {"hwmon", "nvml"}.isdisjoint(missing.family for missing in found.missing_families)
    assert found.problems == ()
    assert found.excluded == ("hwmon", "nvml")


def test_excluding_every_measured_processor_leads_to_an_estimate(tmp_path):
    tree = copy_tree("intel_server_2s", tmp_path / "tree")
    assert sources(discover(tree, exclude=("rapl",))) == {Source.ESTIMATED}
    assert sources(discover(tree, exclude=("rapl", "estimate"))) == set()


def test_excluded_device_is_dropped_from_every_family(tmp_path):
    found = discover(copy_tree("intel_server_2s", tmp_path / "tree"), exclude=("package-0",))
    assert not any(name.startswith("package-0/") for name in names(found))
    assert {"package-1/package", "package-1/dram"} <= names(found)
    assert found.excluded == ("package-0",)


def test_excluded_part_of_a_device_is_dropped_from_one_family_only(tmp_path):
    found = discover(copy_tree("intel_server_2s", tmp_path / "tree"), exclude=("rapl/package-0",))
    probes = {probe.name: {channel.device.id for channel in probe.channels} for probe in found.probes}
    assert probes["rapl"] == {"package-1", "psys"}
    assert probes["cpu"] == {"host", "package-0"}


def test_excluded_domain_is_dropped_alone(tmp_path):
    tree = copy_tree("intel_server_2s", tmp_path / "tree")
    everything = names(discover(tree))
    found = discover(tree, exclude=("package-0/dram",))
    assert everything - names(found) == {"package-0/dram"}


def test_excluded_estimate_of_a_package_is_dropped(tmp_path):
    found = discover(tmp_path, exclude=("estimate/package-0",))
    assert families(found) == {"cpu", "memory"}
    assert found.excluded == ("estimate/package-0",)


@pytest.mark.parametrize("exclude", ["memory", "memory/memory"])
def test_memory_can_be_excluded(tmp_path, exclude):
    assert families(discover(tmp_path, exclude=(exclude,))) == {"cpu", "estimate"}


def test_processor_probe_without_any_channel_is_closed(tmp_path):
    found = discover(tmp_path, exclude=("package-0", "host"))
    assert families(found) == {"memory"}
    assert found.excluded == ("package-0", "host")


def test_excluded_sensor_that_cannot_be_read_is_no_problem(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", "N/A")
    powercap_zone(tmp_path, "intel-rapl:0:0", "dram", 5_000_000)
    found = discover(tmp_path, exclude=("package-0/package",))
    assert found.problems == ()
    assert names(found) == {"host/host", "memory/memory", "package-0/dram"}


def test_exclusion_without_a_match_is_noted(tmp_path):
    found = discover(tmp_path, exclude=("package-7", "rapl"))
    (problem,) = found.problems
    assert problem.sensor == "package-7"
    assert not problem.is_unreadable
    assert "matches no" in problem.reason
    assert found.excluded == ("rapl",)


def test_every_family_is_described_under_its_own_name():
    described = registry.families()
    assert [family.name for family in described] == [*registry.FAMILIES, registry.ESTIMATE]
    assert all(family.title and family.kinds and family.reads and family.method for family in described)
    assert all(bool(family.privilege) == bool(family.remedy) for family in described)


def test_every_family_has_a_test_of_its_guarantees():
    tests = {
        name: Path(__file__).parent / name / "test_conformance.py" for name in (*registry.FAMILIES, registry.ESTIMATE)
    }
    texts = {name: path.read_text(encoding="utf-8") if path.exists() else "" for name, path in tests.items()}
    assert [name for name, text in texts.items() if "assert_conforms(" not in text] == []
