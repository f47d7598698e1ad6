import math
import shutil
from dataclasses import replace

import pytest

import fake_sysman
from fake_sysman import FLEX, FORBIDDEN, LOST, UNINITIALIZED
from probes.errors import DeviceLostError, ReadError
from probes.intel_gpu import discover
from probes.model import Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write

CARD = "devices/pci0000:03/0000:03:00.0"
SECOND = 1_000_000_000


@pytest.fixture
def sysfs(tmp_path):
    """A card without energy in hwmon."""
    tree = copy_tree("intel_arc_xe", tmp_path / "tree")
    shutil.rmtree(tree / CARD / "hwmon")
    return tree


@pytest.fixture
def library(tmp_path):
    built = fake_sysman.build(tmp_path)
    fake_sysman.write_state(built, [FLEX])
    return built


@pytest.fixture
def search(sysfs, library):
    found = []

    def run(**settings):
        found.append(discover(Roots(str(sysfs), libraries=str(library.parent)), SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def sysman(found):
    return next(probe for probe in found.probes if probe.name.endswith("-sysman"))


def test_a_card_without_energy_in_hwmon_has_that_of_level_zero(search, library):
    probe = sysman(search())
    assert [(channel.domain, channel.metric) for channel in probe.channels] == [
        ("card", "energy_joules"),
        ("card", "utilization_ratio"),
        ("memory", "memory_used_bytes"),
        ("memory", "memory_total_bytes"),
    ]
    assert probe.channels[0].max_plausible == 600.0
    first = probe.read(0)
    assert first[0] == 5.0
    assert math.isnan(first[1])
    assert first[2:] == [1 << 30, 14 << 30]
    fake_sysman.write_state(library, [replace(FLEX, energy_uj=105_000_000, busy_us=(1_500_000, 3_000_000))])
    assert probe.read(SECOND)[:2] == [105.0, 0.5]
    assert probe.rejections == []


def test_energy_alone_is_read_around_an_edge(search):
    values = sysman(search()).read_counters(0)
    assert values[0] == 5.0
    assert all(map(math.isnan, values[1:]))


def test_without_a_domain_of_the_card_the_energy_is_that_of_its_package(search, library):
    fake_sysman.write_state(library, [replace(FLEX, has_card_domain=False, domains=3)])
    assert sysman(search()).channels[0].domain == "package"


def test_a_card_with_energy_in_hwmon_is_left_to_it(search, sysfs):
    write(sysfs / CARD / "hwmon/hwmon3/energy1_input", 1)
    assert [probe.name for probe in search().probes] == ["intel_gpu/0000:03:00.0"]


def test_only_the_energy_is_missing_if_root_alone_may_read_it(search, library):
    fake_sysman.write_state(library, [replace(FLEX, errors={"zesPowerGetEnergyCounter": FORBIDDEN})])
    found = search()
    assert "utilization_ratio" in {channel.metric for channel in sysman(found).channels}
    (problem,) = found.problems
    assert "permission denied" in problem.reason
    assert "run as root" in problem.remedy
    assert problem.device.device.id == "0000:03:00.0"


def test_a_missing_library_names_its_packages(search, library):
    library.unlink()
    (problem,) = search().problems
    assert "no Level Zero library" in problem.reason
    assert "libze-intel-gpu1" in problem.remedy


def test_a_library_without_a_driver_names_the_driver(search, library):
    fake_sysman.write_state(library, [], {"zesInit": UNINITIALIZED})
    (problem,) = search().problems
    assert "zesInit: no driver is initialized" in problem.reason
    assert "/dev/dri" in problem.remedy


def test_a_card_that_level_zero_does_not_list_is_a_problem(search, library):
    fake_sysman.write_state(library, [replace(FLEX, address="0000:99:00.0")])
    (problem,) = search().problems
    assert "Level Zero does not list this card" in problem.reason


def test_a_driver_that_fails_is_a_problem(search, library):
    fake_sysman.write_state(library, [replace(FLEX, error=LOST)])
    (problem,) = search().problems
    assert "the device is lost" in problem.reason


def test_an_impossible_number_of_devices_is_a_problem(search, library):
    fake_sysman.write_state(library, [])
    state = library.resolve().with_name("state")
    state.write_text("zesDeviceGet 100000\n", encoding="utf-8")
    assert "zesDeviceGet lists 100000 handles" in search().problems[0].reason


def test_a_sleeping_card_is_not_asked(search, sysfs, library):
    write(sysfs / CARD / "power/runtime_status", "suspended")
    fake_sysman.write_state(library, [], {"zesInit": UNINITIALIZED})
    (problem,) = search().problems
    assert "it sleeps" in problem.reason
    assert not problem.is_unreadable


def test_a_card_that_falls_asleep_is_left_asleep(search, sysfs, library):
    status = write(sysfs / CARD / "power/runtime_status", "active")
    probe = sysman(search())
    write(status, "suspended")
    fake_sysman.write_state(library, [replace(FLEX, error=LOST)])
    assert all(map(math.isnan, probe.read(0)))


def test_a_failed_call_is_no_value_and_the_others_are_read(search, library):
    probe = sysman(search())
    fake_sysman.write_state(library, [replace(FLEX, errors={"zesPowerGetEnergyCounter": FORBIDDEN})])
    assert math.isnan(probe.read(0)[0])
    assert probe.rejections == [Rejection(0, Reason.READ_ERROR)]


def test_a_read_without_any_answer_is_an_error_and_a_lost_card_is_lost(search, library):
    probe = sysman(search())
    fake_sysman.write_state(library, [replace(FLEX, error=FORBIDDEN)])
    with pytest.raises(ReadError, match="permission denied"):
        probe.read(0)
    fake_sysman.write_state(library, [replace(FLEX, error=LOST)])
    with pytest.raises(DeviceLostError, match="the device is lost"):
        probe.read(0)


def test_all_bits_set_is_no_energy(search, library):
    probe = sysman(search())
    probe.read(0)
    fake_sysman.write_state(library, [replace(FLEX, energy_uj=0xFFFFFFFFFFFFFFFF)])
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.SENTINEL)]


@pytest.mark.parametrize("entry", ["0000:03:00.0", "0000:03:00.0/card"])
def test_an_excluded_card_or_domain_is_not_asked(search, entry):
    found = search(exclude=(entry,))
    assert not any(channel.domain == "card" for probe in found.probes for channel in probe.channels)
    assert found.excluded == {entry}
