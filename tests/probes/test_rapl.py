"""The RAPL zones that are found, each once, with their containment and their remedies."""

import json
import os
import subprocess
import sys

import pytest

from nobody import nobody
from probes import rapl
from probes.errors import ProbeUnavailableError
from probes.model import Kind, Roots
from trees import FIXTURES, copy_tree, powercap_zone, roots


def keys(found):
    (probe,) = found.probes
    return {channel.place for channel in probe.channels}


def test_a_two_socket_server_has_each_counter_once_and_the_mapped_duplicate_is_dropped(tmp_path):
    found = rapl.discover(roots(copy_tree("intel_server_2s", tmp_path / "tree"), tmp_path))
    assert keys(found) == {
        ("package-0", "package"),
        ("package-0", "dram"),
        ("package-1", "package"),
        ("package-1", "dram"),
        ("psys", "psys"),
    }
    assert found.problems == ()


def test_values_are_joules_of_the_zone_by_name(tmp_path):
    (probe,) = rapl.discover(roots(copy_tree("intel_server_2s", tmp_path / "tree"), tmp_path)).probes
    values = dict(zip([c.place for c in probe.channels], probe.read(0), strict=True))
    assert values["package-0", "package"] == pytest.approx(240422.366267)
    assert values["package-1", "dram"] == pytest.approx(53190.236373)
    assert values["psys", "psys"] == pytest.approx(118821.284256)


def test_the_index_of_a_zone_is_not_its_socket():
    found = rapl.discover(Roots(sysfs=str(FIXTURES / "procfs/sys"), procfs="/nowhere"))
    assert ("package-10", "package") in keys(found)
    assert ("package-0", "core") in keys(found)


def test_containment_prevents_double_counting(tmp_path):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 1)
    powercap_zone(sysfs, "intel-rapl:0:0", "core", 1)
    powercap_zone(sysfs, "intel-rapl:0:1", "uncore", 1)
    powercap_zone(sysfs, "intel-rapl:0:2", "dram", 1)
    powercap_zone(sysfs, "intel-rapl:1", "psys", 1)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    within = {c.place: c.contained_in for c in probe.channels}
    assert within["package-0", "core"] == (("package-0", "package"), ("psys", "psys"))
    assert within["package-0", "uncore"] == (("package-0", "package"), ("psys", "psys"))
    assert within["package-0", "dram"] == (("psys", "psys"),)
    assert within["package-0", "package"] == (("psys", "psys"),)
    assert within["psys", "psys"] == ()


@pytest.mark.parametrize("names", [("psys", "psys-1"), ("psys-1", "psys-2")])
def test_a_platform_zone_repeated_by_every_package_is_counted_once(tmp_path, names):
    sysfs = tmp_path / "sys"
    for index, name in enumerate(["package-0", "package-1", *names]):
        powercap_zone(sysfs, f"intel-rapl:{index}", name, 1)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    outermost = [c.device.id for c in probe.channels if not c.contained_in]
    assert outermost == [names[0]]
    assert {c.contained_in for c in probe.channels if c.contained_in} == {((names[0], "psys"),)}


def test_each_die_of_a_package_is_a_device(tmp_path):
    sysfs = tmp_path / "sys"
    for index, name in enumerate(["package-0-die-0", "package-0-die-1", "package-1-die-0", "package-1-die-1"]):
        powercap_zone(sysfs, f"intel-rapl:{index}", name, 5)
    powercap_zone(sysfs, "intel-rapl:1:0", "dram", 5)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert ("package-0-die-1", "package") in keys(found)
    assert ("package-0-die-1", "dram") in keys(found)
    assert all(channel.device.kind is Kind.CPU for channel in found.probes[0].channels)


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "HygonGenuine"])
def test_the_core_zone_of_amd_is_ignored(tmp_path, vendor):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 1, range_uj=65532610987)
    powercap_zone(sysfs, "intel-rapl:0:0", "core", 1, range_uj=65532610987)
    assert keys(rapl.discover(roots(sysfs, tmp_path, f"vendor_id\t: {vendor}\n"))) == {("package-0", "package")}


def test_the_duplicate_replaces_a_zone_that_does_not_work(tmp_path):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", "N/A")
    powercap_zone(sysfs, "intel-rapl-mmio:0", "package-0", 7_000_000)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert found.probes[0].read(0) == [7.0]
    assert found.problems == ()


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("intel_multi_die", {(f"package-{p}-die-{d}", k) for p in (0, 1) for d in (0, 1) for k in ("package", "dram")}),
        ("intel_client", {("psys", "psys"), *(("package-0", part) for part in ("package", "core", "uncore"))}),
    ],
)
def test_a_machine_has_each_zone_once(tmp_path, machine, expected):
    found = rapl.discover(roots(copy_tree(machine, tmp_path / "tree"), tmp_path))
    assert keys(found) == expected
    assert found.problems == ()


def test_without_powercap_the_family_is_unavailable_and_the_reason_names_the_folder(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="class/powercap"):
        rapl.discover(roots(tmp_path / "sys", tmp_path))


def test_a_zone_that_only_root_may_read_is_a_problem_with_its_remedy_and_the_others_work(tmp_path):
    user = nobody()
    sysfs = tmp_path / "sys"
    secret = powercap_zone(sysfs, "intel-rapl:0", "package-0", 1_000_000)
    powercap_zone(sysfs, "intel-rapl:1", "package-1", 2_000_000)
    (secret / "energy_uj").chmod(0o400)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != folder.parent and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    script = (
        "import json,sys; from probes import rapl; from probes.model import Roots;"
        "f = rapl.discover(Roots(sysfs=sys.argv[1], procfs='/nowhere'));"
        "print(json.dumps([[c.device.id for p in f.probes for c in p.channels],"
        " [[p.sensor, p.reason, p.remedy] for p in f.problems]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(sysfs)], check=True, capture_output=True, text=True, **user
    )
    devices, ((subject, reason, remedy),) = json.loads(done.stdout)
    assert devices == ["package-1"]
    assert "package-0" in subject
    assert "root" in reason
    assert "chmod 440" in remedy


def test_a_zone_that_hangs_at_discovery_is_a_problem_and_the_others_are_found(tmp_path):
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    path = (sysfs / "class/powercap/intel-rapl:1/energy_uj").resolve()
    path.unlink()
    os.mkfifo(path)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert ("package-0", "package") in keys(found)
    assert ("package-1", "package") not in keys(found)
    (problem,) = found.problems
    assert "no answer within 0.5 s" in problem.reason
    found.probes[0].close()
    os.close(os.open(path, os.O_WRONLY))
