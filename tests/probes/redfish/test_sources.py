"""The resource of a chassis that has its power, and the one that has its energy."""

from decimal import Decimal

import pytest

from probes.redfish.sources import MOST_SENSORS, sources_of
from redfish_server import ROOT, captured, link, mockup

ONE = f"{ROOT}/Chassis/1U"


def values(resources, path=ONE, expand=""):
    """Return the watts, the joules and the paths of the sources of a chassis."""
    asked = []

    def get(wanted):
        asked.append(wanted)
        return resources.get(wanted.partition("?")[0])

    found = sources_of(resources[path], get, expand)
    return {each.is_energy: (each.pick(resources[each.path]), each.path) for each in found}, asked


def test_environment_metrics_precede_power_control_although_they_disagree():
    found, asked = values(mockup("dmtf"))
    assert found == {False: (374, f"{ONE}/EnvironmentMetrics")}
    assert f"{ONE}/Power" not in asked


def test_power_control_follows_if_the_environment_has_no_power():
    resources = mockup("dmtf")
    resources[f"{ONE}/EnvironmentMetrics"]["PowerWatts"] = {"Reading": None}
    assert values(resources)[0] == {False: (344, f"{ONE}/Power")}


def test_sensors_of_the_chassis_follow_if_nothing_else_has_power():
    resources = mockup("dmtf")
    del resources[ONE]["EnvironmentMetrics"], resources[ONE]["Power"]
    found, asked = values(resources)
    assert found[False] == (374, f"{ONE}/Sensors/TotalPower")
    assert found[True] == (325675 * 3_600_000, f"{ONE}/Sensors/TotalEnergy")
    assert f"{ONE}/Sensors/AmbientTemp" not in asked
    assert len(asked) <= 1 + MOST_SENSORS


def test_all_sensors_in_one_answer_need_no_further_request():
    sensors = {"Members": [{"@odata.id": "/s/1", "ReadingType": "Power", "PhysicalContext": "Chassis", "Reading": 5}]}
    resources = {ONE: {"Sensors": link(f"{ONE}/Sensors")}, f"{ONE}/Sensors": sensors, "/s/1": sensors["Members"][0]}
    found, asked = values(resources, expand="?$expand=.($levels=1)")
    assert found == {False: (5, "/s/1")}
    assert asked == [f"{ONE}/Sensors?$expand=.($levels=1)"]


@pytest.mark.parametrize(
    "change", [{"PhysicalContext": "PowerSupply"}, {"Status": {"State": "Absent"}}, {"Reading": None}]
)
def test_a_sensor_of_a_part_or_without_a_value_is_no_source(change):
    sensor = {"@odata.id": "/s/1", "ReadingType": "Power", "PhysicalContext": "Chassis", "Reading": 5, **change}
    resources = {ONE: {"Sensors": link(f"{ONE}/Sensors")}, f"{ONE}/Sensors": {"Members": [sensor]}}
    assert values(resources)[0] == {}


@pytest.mark.parametrize(
    ("vendor", "path", "watts", "capacity"),
    [("dell", f"{ROOT}/Chassis/System.Embedded.1", 429, 1628), ("hpe", f"{ROOT}/Chassis/1", 221, 1600)],
)
def test_the_replies_of_vendors_have_power_control(vendor, path, watts, capacity):
    resources = captured(vendor, path)
    assert values(resources, path)[0] == {False: (watts, f"{path}/Power")}
    (source,) = sources_of(resources[path], resources.get)
    assert source.limit_watts == capacity


def test_the_first_member_of_power_control_is_the_whole():
    path = f"{ROOT}/Chassis/4U"
    assert values(mockup("several"), path)[0] == {False: (750, f"{path}/Power")}


@pytest.mark.parametrize(
    ("metrics", "joules", "resolution"),
    [
        ({"EnergykWh": {"Reading": Decimal("1.250"), "LifetimeReading": Decimal("7.125")}}, 25_650_000, 3600),
        ({"EnergykWh": {"Reading": 3}}, 10_800_000, 3_600_000),
        ({"EnergykWh": {"Reading": 3}, "EnergyJoules": {"Reading": Decimal("99.5")}}, Decimal("99.5"), 0.1),
        ({"EnergykWh": {"Reading": None, "LifetimeReading": None}}, None, 0),
    ],
)
def test_the_lifetime_counter_and_joules_precede(metrics, joules, resolution):
    resources = {ONE: {"EnvironmentMetrics": link("/m")}, "/m": metrics}
    found = [each for each in sources_of(resources[ONE], resources.get) if each.is_energy]
    assert [each.pick(metrics) for each in found] == ([] if joules is None else [joules])
    assert [each.resolution for each in found] == ([] if joules is None else [pytest.approx(resolution)])
