"""The chassis of a BMC that is this host."""

import pytest

from probes.errors import ProbeUnavailableError
from probes.redfish.chassis import chassis_in, hosts_among, inside
from redfish_server import ROOT, link, mockup


def chassis(name, kind="RackMount", *, systems=(), around="", contains=()):
    links = {
        "ComputerSystems": [link(f"{ROOT}/Systems/{each}") for each in systems],
        "ContainedBy": link(f"{ROOT}/Chassis/{around}") if around else None,
        "Contains": [link(f"{ROOT}/Chassis/{each}") for each in contains],
    }
    return chassis_in(f"{ROOT}/Chassis/{name}", {"Id": name, "ChassisType": kind, "Links": links})


def ids(found):
    return [each.id for each in found]


def test_the_only_chassis_is_the_host():
    assert ids(hosts_among([chassis("1U")], "")) == ["1U"]


def test_the_outermost_chassis_of_a_server_is_the_host():
    found = [
        chassis("Board", systems=["s"], around="System"),
        chassis("System", systems=["s"]),
        chassis("Riser", "Module", around="Board"),
    ]
    assert ids(hosts_among(found, "")) == ["System"]
    assert ids(inside(found, found[1])) == ["Board", "Riser"]


def test_a_container_may_name_its_contents_instead():
    found = [chassis("Board"), chassis("System", systems=["s"], contains=["Board"])]
    assert ids(hosts_among(found, "")) == ["System"]


def test_the_baseboard_of_the_gpus_is_inside_the_server_even_if_it_does_not_state_so():
    found = [
        chassis("HGX_Chassis_0", "RackMount", systems=["HGX_Baseboard_0"], contains=["HGX_GPU_SXM_1"]),
        chassis("HGX_GPU_SXM_1", "Component", around="HGX_Chassis_0"),
        chassis("DGX", systems=["DGX"]),
    ]
    (host,) = hosts_among(found, "")
    assert host.id == "DGX"
    assert ids(inside(found, host)) == ["HGX_Chassis_0"]


def test_the_boards_of_one_server_are_candidates_in_their_order():
    found = [chassis("chassis", systems=["s"]), chassis("motherboard", systems=["s"]), chassis("psu", "Component")]
    assert ids(hosts_among(found, "")) == ["chassis", "motherboard"]


def test_an_enclosure_of_several_servers_is_not_one_of_them():
    found = [
        chassis("Enclosure", "Enclosure", contains=["Sled-1", "Sled-2"]),
        chassis("Sled-1", "Sled", systems=["1"]),
        chassis("Sled-2", "Sled", systems=["2"]),
    ]
    with pytest.raises(ProbeUnavailableError, match="several servers") as error:
        hosts_among(found, "")
    assert "`part`" in error.value.remedy
    assert ids(hosts_among(found, "Sled-2")) == ["Sled-2"]


def test_three_servers_of_one_bmc_need_a_choice():
    paths = [each["@odata.id"] for each in mockup("several")[f"{ROOT}/Chassis"]["Members"]]
    found = [chassis_in(path, mockup("several")[path]) for path in paths]
    with pytest.raises(ProbeUnavailableError, match="1U, 2U, 4U"):
        hosts_among(found, "")
    assert ids(hosts_among(found, "4U")) == ["4U"]


def test_a_configured_chassis_that_is_missing_is_named_with_the_others():
    with pytest.raises(ProbeUnavailableError, match="no chassis '9U'") as error:
        hosts_among([chassis("1U"), chassis("2U")], "9U")
    assert error.value.remedy == "set `part` to one of: 1U, 2U"


def test_a_service_without_a_chassis_is_an_error():
    with pytest.raises(ProbeUnavailableError):
        hosts_among([], "")


def test_chassis_that_contain_each_other_end_the_search():
    found = [chassis("A", around="B", systems=["s"]), chassis("B", around="A", systems=["s"])]
    assert ids(hosts_among(found, "A")) == ["A"]
    assert ids(hosts_among(found, "")) == ["A", "B"]
