"""Hosts of anonymized profiles, which count as one."""

from __future__ import annotations

from agent.comparison.fleet_anonymous import anonymous_as_one
from agent.comparison.fleet_hosts import fleet_state
from store.fleet import FleetHost


def host(host_id: str, newest_ns: int, version: str = "0.2.0") -> FleetHost:
    return FleetHost(f"import-{host_id}", host_id.partition("-")[0], 2, newest_ns, version, "2.5")


def test_anonymized_profiles_are_one_line_with_the_newest_of_them() -> None:
    hosts = [host("anonymous-1", 5), host("anonymous-2", 7, "0.3.0"), host("anonymous-3", 6), host("gpu1", 1)]
    found = anonymous_as_one(hosts)
    assert found == [hosts[3], FleetHost("import-anonymous", "anonymous", 6, 7, "0.3.0", "2.5")]
    state = fleet_state(found, {}, (), 10**9, 0.5)
    assert [(each.name, each.state) for each in state.hosts] == [("gpu1", "stale"), ("anonymous", "current")]


def test_a_fleet_without_anonymized_profiles_stays_as_it_is() -> None:
    assert anonymous_as_one([host("gpu1", 1), host("gpu2", 2)]) == [host("gpu1", 1), host("gpu2", 2)]
