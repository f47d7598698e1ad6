from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.attribution.idle import IdlePower
from agent.attribution.ledger import Totals
from agent.daemon.serving.accounts import stored_totals, totals_of
from probes.model import Source
from store.records import Host, Total

HOST = Host("h", "bench", "boot")
NAME = st.text("abc/:. -é", max_size=8)
JOULES = st.floats(0, 1e12)
SOURCE = st.sampled_from(["measured", "estimated", "mixed"])


@given(
    st.dictionaries(st.tuples(NAME, NAME, st.sampled_from(["requests", "output_tokens"])), JOULES),
    st.dictionaries(
        st.tuples(NAME, NAME, st.sampled_from(["idle", "attributed"]), st.sampled_from(["equal", "cpu_time"]), SOURCE),
        JOULES,
    ),
    st.dictionaries(st.tuples(NAME, st.sampled_from(["idle", "unattributed"]), SOURCE), JOULES),
    st.dictionaries(NAME, st.builds(IdlePower, JOULES, JOULES, JOULES, st.integers(1, 5))),
)
def test_totals_are_read_as_they_were_stored(counts, joules, parts, idle) -> None:
    totals = Totals()
    totals.counts.update(counts)
    totals.joules.update(joules)
    totals.parts.update(parts)
    totals.idle.update(idle)
    rows = tuple(stored_totals(totals, HOST, 5))
    assert totals_of(rows, 5) == totals
    assert len({row.key for row in rows}) == len(rows)
    assert {(row.host_id, row.boot_id) for row in rows} <= {("h", "boot")}
    assert {row.at_ns for row in rows if row.metric != "power_watts"} <= {5}


def test_a_total_that_is_not_measured_alone_is_stored_as_estimated() -> None:
    totals = Totals()
    for source in ("measured", "estimated", "mixed"):
        totals.parts["package-0", "idle", source] = 1.0
    sources = [row.source for row in stored_totals(totals, HOST, 5)]
    assert sources == [Source.MEASURED, Source.ESTIMATED, Source.ESTIMATED]


def test_totals_of_counters_are_left_alone() -> None:
    own = Total("h", "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "boot", 1.0, 2.0, 3)
    assert totals_of([own], 5) == Totals()


def test_an_idle_power_older_than_a_day_no_longer_counts() -> None:
    totals = Totals(idle={"package-0": IdlePower(50.0, 49.0, 51.0, 1000)})
    rows = tuple(stored_totals(totals, HOST, 2000))
    day = 24 * 3600 * 10**9
    assert totals_of(rows, 1000 + day) == totals
    assert totals_of(rows, 1001 + day) == Totals()
    assert totals_of(rows[1:], 2000) == Totals()
