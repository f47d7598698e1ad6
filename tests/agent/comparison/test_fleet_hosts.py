from __future__ import annotations

from agent.comparison.fleet_hosts import AHEAD_NS, HostState, fleet_state
from store.fleet import FleetHost

DAY_NS = 86_400 * 10**9
NOW_NS = 20_000 * DAY_NS


def host(name: str, age_ns: int = 0, version: str = "0.2.0", host_id: str = "") -> FleetHost:
    return FleetHost(f"import-{host_id or name}", name, 3, NOW_NS - age_ns, version, "2.5" if version else "")


def states(*hosts: FleetHost, logins: dict[str, str] | None = None, expected: tuple[str, ...] = ()) -> dict[str, str]:
    found = fleet_state(hosts, logins or {}, expected, NOW_NS, 86_400.0)
    return {each.name: each.state for each in found.hosts}


def test_a_host_is_stale_beyond_the_age_and_ahead_beyond_a_minute_in_the_future() -> None:
    assert states(host("a", DAY_NS), host("b", DAY_NS + 1), host("c", -AHEAD_NS), host("d", -AHEAD_NS - 1)) == {
        "d": "ahead",
        "b": "stale",
        "a": "current",
        "c": "current",
    }


def test_hosts_that_need_attention_come_first() -> None:
    found = states(host("a"), host("b", 2 * DAY_NS), host("c", -DAY_NS), expected=("z", "a"))
    assert list(found.items()) == [("z", "missing"), ("c", "ahead"), ("b", "stale"), ("a", "current")]


def test_a_login_without_a_profile_is_a_missing_host() -> None:
    logins = {"a": "login-a", "b": "login-b", "c": "z", "anonymous": "donor"}
    assert states(host("a"), logins=logins, expected=("z",)) == {
        "login-b": "missing",
        "z": "missing",
        "a": "current",
    }
    found = fleet_state([], {"b": "login-b"}, (), NOW_NS, 1.0)
    assert found.hosts == (HostState("login-b", "b", "missing", 0, None, None, "", ""),)
    assert (found.count("missing"), found.count("current"), found.versions) == (1, 0, {})


def test_an_expected_host_may_be_named_by_its_login() -> None:
    logins = {"a": "gpu1", "b": "gpu2"}
    assert states(host("a.example.com", host_id="a"), logins=logins, expected=("gpu1", "gpu2")) == {
        "gpu2": "missing",
        "a.example.com": "current",
    }


def test_a_host_that_takes_the_name_of_a_login_does_not_stand_in_for_its_host() -> None:
    found = fleet_state([host("gpu2", host_id="a")], {"a": "gpu1", "b": "gpu2"}, ("gpu2",), NOW_NS, 1.0)
    assert [(each.name, each.host_id, each.state) for each in found.hosts] == [
        ("gpu2", "b", "missing"),
        ("gpu2", "a", "current"),
    ]


def test_an_anonymized_profile_is_neither_stale_nor_the_namesake_of_another_one() -> None:
    hosts = [host("anonymous", 9 * DAY_NS, host_id=f"anonymous-{number}") for number in range(2)]
    assert [(each.state, each.notes) for each in fleet_state(hosts, {}, (), NOW_NS, 1.0).hosts] == [("current", ())] * 2


def test_the_notes_name_other_versions_shared_names_and_a_wrong_clock() -> None:
    hosts = (host("a"), host("b"), host("c", -DAY_NS, "0.1.0"), host("d", host_id="d1"), host("d", host_id="d2"))
    found = fleet_state((*hosts, host("e", version="")), {}, (), NOW_NS, 86_400.0)
    notes = {each.host_id: each.notes for each in found.hosts}
    assert notes == {
        "c": ("its newest profile is in the future: check its clock", "most hosts have version 0.2.0"),
        "a": (),
        "b": (),
        "d1": ("another host has this name",),
        "d2": ("another host has this name",),
        "e": (),
    }
    assert found.versions == {"0.1.0": 1, "0.2.0": 4}


def test_the_age_is_that_of_the_newest_profile() -> None:
    [found] = fleet_state([host("a", 90 * 10**9)], {}, (), NOW_NS, 86_400.0).hosts
    assert (found.age_seconds, found.newest_ns, found.profiles) == (90.0, NOW_NS - 90 * 10**9, 3)
