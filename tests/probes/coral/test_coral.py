import pytest

from hwmon_readings import readings
from probes.coral import discover
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.settings import SensorSettings
from trees import copy_tree

ADDRESS = "0000:05:00.0"


def test_the_temperature_is_read_and_no_power_is_invented(tmp_path):
    (probe,) = discover(Roots(sysfs=str(copy_tree("coral", tmp_path / "tree")))).probes
    assert readings(probe) == {(ADDRESS, "chip", "temperature_celsius"): 48.8}
    probe.close()


def test_excluded_devices_are_not_read(tmp_path):
    roots = Roots(sysfs=str(copy_tree("coral", tmp_path / "tree")))
    found = discover(roots, SensorSettings(exclude=(ADDRESS,)))
    assert (found.probes, found.excluded) == ((), {ADDRESS})


def test_a_host_without_such_a_device_has_no_family(tmp_path):
    with pytest.raises(ProbeUnavailableError):
        discover(Roots(sysfs=str(tmp_path)))
