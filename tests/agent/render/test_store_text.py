"""The reports of `inferometer db` and `inferometer service` as text."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from agent.install.files import Change
from agent.install.systemd import ServiceState
from agent.render.service_text import changes_text, state_text
from agent.render.store_text import (
    backup_text,
    check_text,
    compaction_text,
    prune_notes,
    prune_text,
    status_text,
    time_text,
)
from store.maintenance.compaction import Compaction
from store.maintenance.retention import PruneResult
from store.maintenance.status import StoreStatus


def test_a_check_of_the_store_counts_remaining_and_moved_problems() -> None:
    assert check_text(0, 0) == "sound"
    assert check_text(0, 3) == "sound, with 3 rows moved to quarantine"
    assert check_text(2, 1).startswith("2 problems; move damaged rows to quarantine with --repair")


def status(**more: object) -> str:
    zeros = dict.fromkeys((field.name for field in fields(StoreStatus)), 0)
    return status_text(StoreStatus(**{**zeros, "path": "x.db", "schema_revision": "0001", **more}))


def test_the_status_shows_large_numbers_by_thousands_and_times_to_the_second() -> None:
    second = 10**9
    text = status(samples=43644, recordings=2, oldest_ns=1, newest_ns=61 * second + 5, bytes=3_140_000)
    assert "  samples    43,644 in 2 recordings, 1970-01-01T00:00:00Z to 1970-01-01T00:01:01Z\n" in text
    assert "  size       3.14 MB\n" in text


def test_the_status_of_an_empty_store_has_no_times() -> None:
    assert "  samples    0 in 5 recordings\n" in status(recordings=5, oldest_ns=None, newest_ns=None)


def test_a_compaction_and_a_copy_have_sizes_with_units() -> None:
    done = Compaction(chunks=10, ticks=20868, samples=23124, bytes=110242)
    assert compaction_text(done) == "20,868 rows, 23,124 samples: 10 chunks, 110 kB"
    assert compaction_text(Compaction()) == "nothing to compact"
    assert backup_text(Path("copy.db"), 135168) == "copied to copy.db (135 kB)"


def test_an_unknown_time_has_no_text() -> None:
    assert time_text(None) is None
    assert time_text(0) == "1970-01-01T00:00:00.000000000Z"


def test_a_plan_of_pruning_differs_from_its_result_in_words_only() -> None:
    done = PruneResult(ticks=3, chunks=2, freed_bytes=4096)
    counts = "3 rows, 2 chunks, 0 rejections, 0 roll-ups, 0 hours of traffic"
    assert prune_text(done, dry_run=False) == f"removed: {counts}; 4.1 kB of disk"
    assert prune_text(done, dry_run=True) == f"would be removed: {counts}; about 4.1 kB of disk"
    assert prune_notes(done) == []
    too_large, needs_vacuum = prune_notes(PruneResult(too_large=True, needs_vacuum=True))
    assert "still larger than the limit" in too_large
    assert needs_vacuum.endswith("inferometer db compact --vacuum")


def test_the_state_of_a_service_without_systemd_is_unknown() -> None:
    state = ServiceState(installed=False, running=False, active=None, enabled=None, health=None, files=())
    assert state_text(state) == "unit      unknown\nfamilies  none\nhealth    not checked"


def test_each_changed_file_has_its_line() -> None:
    assert changes_text([Change("/etc/x", "written"), Change("/etc/y", "removed")]) == (
        "written   /etc/x\nremoved   /etc/y"
    )
