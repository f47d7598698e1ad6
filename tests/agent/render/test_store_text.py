"""The reports of `inferometer db` and `inferometer service` as text."""

from __future__ import annotations

from agent.install.files import Change
from agent.install.systemd import ServiceState
from agent.render.service_text import changes_text, state_text
from agent.render.store_text import check_text, prune_notes, prune_text, time_text
from store.maintenance.retention import PruneResult


def test_a_check_of_the_store_names_what_is_left_and_what_moved() -> None:
    assert check_text(0, 0) == "sound"
    assert check_text(0, 3) == "sound, with 3 rows moved to quarantine"
    assert check_text(2, 1).startswith("2 problems; move damaged rows to quarantine with --repair")


def test_an_unknown_time_has_no_text() -> None:
    assert time_text(None) is None
    assert time_text(0) == "1970-01-01T00:00:00.000000000Z"


def test_a_plan_of_pruning_differs_from_its_result_in_words_only() -> None:
    done = PruneResult(ticks=3, chunks=2, freed_bytes=4096)
    counts = "3 rows, 2 chunks, 0 refused readings, 0 roll-ups, 0 hours of traffic"
    assert prune_text(done, dry_run=False) == f"removed: {counts}; 4.1 kB of disk"
    assert prune_text(done, dry_run=True) == f"would be removed: {counts}; about 4.1 kB of disk"
    assert prune_notes(done) == []
    too_large, needs_vacuum = prune_notes(PruneResult(too_large=True, needs_vacuum=True))
    assert "still larger than the limit" in too_large
    assert needs_vacuum.endswith("inferometer db compact --vacuum")


def test_the_state_of_a_service_without_systemd_is_unknown() -> None:
    state = ServiceState(installed=False, running=False, active=None, enabled=None, health=None, files=())
    assert state_text(state) == "unit      unknown, unknown\nhealth    not asked"


def test_each_changed_file_has_its_line() -> None:
    assert changes_text([Change("/etc/x", "written"), Change("/etc/y", "removed")]) == (
        "written   /etc/x\nremoved   /etc/y"
    )
