"""Numbers, links and texts of Redfish resources."""

from decimal import Decimal

import pytest

from probes.errors import ReadError
from probes.redfish import documents


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff\xfe", b"<html>", b'{"a":' * 5000, b"1e999999999"])
def test_an_answer_that_is_no_json_object_is_a_read_error(body):
    with pytest.raises(ReadError):
        documents.resource_in(body)


def test_the_decimals_of_a_number_survive():
    resource = documents.resource_in(b'{"PowerWatts": {"Reading": 374.10}, "Bad": NaN, "Large": 1e999999}')
    assert str(documents.environment_watts(resource)) == "374.10"
    assert documents.number(resource["Bad"]) is None
    assert documents.number(resource["Large"]) is None


@pytest.mark.parametrize("value", [None, True, "374", [], {}, "N/A", 10**400])
def test_a_value_of_another_type_is_no_number(value):
    assert documents.environment_watts({"PowerWatts": {"Reading": value}}) is None


@pytest.mark.parametrize("resource", [{}, {"PowerWatts": None}, {"PowerWatts": 374}, {"PowerWatts": [374]}])
def test_a_missing_reading_is_no_number(resource):
    assert documents.environment_watts(resource) is None


def test_an_energy_in_kwh_becomes_joules():
    resource = {"EnergykWh": {"Reading": Decimal("1.5"), "LifetimeReading": 2}, "EnergyJoules": {"Reading": 7}}
    assert documents.environment_joules(resource, "Reading", "EnergykWh") == 5_400_000
    assert documents.environment_joules(resource, "LifetimeReading", "EnergykWh") == 7_200_000
    assert documents.environment_joules(resource, "Reading", "EnergyJoules") == 7


def test_the_average_of_an_interval_is_not_the_power_of_now():
    control = {"MemberId": "0", "PowerMetrics": {"AverageConsumedWatts": 426, "IntervalInMin": 1}}
    assert documents.control_watts({"PowerControl": [control]}, "0") is None


def test_the_member_of_power_control_is_found_after_a_change_of_the_order():
    members = [{"MemberId": "1", "PowerConsumedWatts": 45}, {"MemberId": "0", "PowerConsumedWatts": 344}]
    assert documents.control_watts({"PowerControl": members}, "0") == 344


@pytest.mark.parametrize("state", ["Absent", "Disabled", "UnavailableOffline"])
def test_the_reading_of_an_absent_part_is_no_value(state):
    sensor = {"Status": {"State": state}, "Reading": 5}
    assert documents.sensor_value(sensor, "Reading", 1) is None
    assert documents.sensor_value({"Reading": 5}, "Reading", 1) == 5


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"@odata.id": "/redfish/v1/Chassis/1U/"}, "/redfish/v1/Chassis/1U/"),
        ({"@odata.id": "/redfish/v1/Chassis/1U/Power#/PowerControl/0"}, "/redfish/v1/Chassis/1U/Power"),
        ({"@odata.id": "//elsewhere.example.org/x"}, ""),
        ({"@odata.id": "https://elsewhere.example.org/x"}, ""),
        ({"@odata.id": "/a\r\nX-Header: 1"}, ""),
        ({"@odata.id": 5}, ""),
        (None, ""),
    ],
)
def test_a_link_leads_to_a_resource_of_the_same_service(value, path):
    assert documents.link(value) == path
