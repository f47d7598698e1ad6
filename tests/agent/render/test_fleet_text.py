from __future__ import annotations

import pytest

from agent.comparison.fleet_hosts import FleetState, HostState, fleet_state
from agent.render.fleet_text import age_text, fleet_json, fleet_text
from store.fleet import FleetHost

NOW_NS = 1_795_000_000 * 10**9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0, "0 s"), (119.0, "119 s"), (-180.0, "-3 min"), (7200.0, "2 h"), (1e6, "12 d")],
)
def test_an_age_has_its_largest_unit(seconds: float | None, text: str) -> None:
    assert age_text(seconds) == text


def test_the_text_has_the_counts_the_versions_and_a_table() -> None:
    hosts = [FleetHost("import-a", "a", 1234, NOW_NS, "0.2.0", "2.5"), FleetHost("import-b", "b", 2, 0, "0.1.0", "2.5")]
    state = fleet_state(hosts, {}, ("c",), NOW_NS + 60 * 10**9, 86_400.0)
    assert fleet_text(state, 120) == (
        "3 hosts: 1 current, 1 stale, 0 ahead, 1 missing\n"
        "versions of Inferometer differ: 0.1.0 on 1, 0.2.0 on 1\n"
        "\n"
        "host  state    profiles  newest (UTC)          age  version\n"
        "c     missing         0  -                       -  -\n"
        "b     stale           2  1970-01-01 00:00  20775 d  0.1.0\n"
        "a     current     1,234  2026-11-18 11:06     60 s  0.2.0\n"
        "b: most hosts have version 0.2.0"
    )


def test_a_large_fleet_shows_the_first_hosts_and_json_has_all() -> None:
    hosts = tuple(HostState(f"h{n}", f"i{n}", "current", 1, NOW_NS, 1.0, "0.2.0", "2.5") for n in range(10_000))
    state = FleetState(hosts, {"0.2.0": 10_000})
    lines = fleet_text(state, 120).splitlines()
    assert lines[0] == "10,000 hosts: 10,000 current, 0 stale, 0 ahead, 0 missing"
    assert lines[-1] == "and 9,960 more; --json has all"
    assert len(lines) == 1 + 1 + 1 + 40 + 1
    found = fleet_json(state)
    assert len(found["hosts"]) == 10_000
    assert found["hosts"][0]["newest"] == "2026-11-18T11:06:40.000000000Z"
    assert fleet_text(FleetState((), {}), 80) == "0 hosts: 0 current, 0 stale, 0 ahead, 0 missing"


def test_the_versions_that_most_hosts_have_are_shown() -> None:
    state = FleetState((), {f"0.{number}": number for number in range(1, 10_001)})
    assert fleet_text(state, 200).splitlines()[1] == (
        "versions of Inferometer differ: 0.10000 on 10,000, 0.9999 on 9,999, 0.9998 on 9,998, 0.9997 on 9,997, "
        "0.9996 on 9,996, and 9,995 others"
    )


def test_a_profile_of_the_year_1970_has_a_time() -> None:
    state = FleetState((HostState("a", "a", "stale", 1, 0, 1.0, "", ""),), {})
    assert fleet_json(state)["hosts"][0]["newest"] == "1970-01-01T00:00:00.000000000Z"
    assert fleet_text(state, 80).startswith("1 host: 0 current, 1 stale")
