"""The estimate of pruning equals its result."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.model import Channel, Device, Kind
from store.database import open_database
from store.maintenance.compaction import compact
from store.maintenance.dry_run import estimate_prune
from store.maintenance.retention import Retention, prune
from store.records import Host, Run, RunStatus, ServingHour, Tick
from store.writer import Writer
from stored import prepared

pytestmark = pytest.mark.system

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
BEGAN_NS = 1_700_000_100 * SECOND_NS
CHANNEL = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.one_of(st.none(), st.integers(1, 6000)),
    rollup_seconds=st.one_of(st.none(), st.integers(1, 6000)),
    compacted=st.integers(0, 5000),
    run=st.one_of(st.none(), st.tuples(st.integers(0, 5000), st.integers(1, 500))),
)
def test_the_estimate_equals_the_removal(
    tmp_path_factory: pytest.TempPathFactory,
    seconds: int | None,
    rollup_seconds: int | None,
    compacted: int,
    run: tuple[int, int] | None,
) -> None:
    engine = open_database(str(prepared(tmp_path_factory.mktemp("store") / "inferometer.db")))
    try:
        writer = Writer(engine)
        (layout,) = writer.register(Host("host", "name"), [("rapl", (CHANNEL,))], "daemon", BEGAN_NS)
        moments = [BEGAN_NS + n * 50 * SECOND_NS for n in range(100)]
        writer.append([Tick(layout.id, at, at, (float(n),)) for n, at in enumerate(moments)])
        hours = range(BEGAN_NS // HOUR_NS, BEGAN_NS // HOUR_NS + 2)
        writer.save_serving_hours(
            [ServingHour("host", "chat", "", hour, "served", "measured", 0, 0, "[]", "[]") for hour in hours]
        )
        compact(engine, BEGAN_NS + compacted * SECOND_NS)
        if run:
            start_ns = BEGAN_NS + run[0] * SECOND_NS
            end_ns = start_ns + run[1] * SECOND_NS
            writer.save_run(Run("run", "host", writer.recording, "x", "{}", RunStatus.COMPLETE, start_ns, end_ns))
        retention = Retention(seconds, None, rollup_seconds)
        now_ns = moments[-1]
        would = estimate_prune(engine, retention, now_ns)
        did = prune(engine, retention, now_ns)
        assert (would.ticks, would.chunks, would.rollups) == (did.ticks, did.chunks, did.rollups)
        assert would.serving_hours == did.serving_hours
        assert bool(would.freed_bytes) == bool(did.ticks or did.chunks or did.rollups)
    finally:
        engine.dispose()
