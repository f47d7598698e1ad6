"""The journal of a run: what it holds after any end of the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.campaigns import journal as journals
from agent.campaigns.errors import CampaignError
from agent.campaigns.events import Begun, Checked, Ended, Finished, Noted, PlannedTask, Resumed, Stored

if TYPE_CHECKING:
    from pathlib import Path

RUN = "20260101-000000-0123abcd"
BEGUN = Begun(RUN, 1, "0" * 64, "1.0", ("one",), ("transformer",), (PlannedTask(f"{RUN}-1", "one", 0, 1),))
EVENTS = (
    Checked("one", None, (0.1, 0.2), ("it is busy",), ()),
    Noted("jobs", "42"),
    Ended(f"{RUN}-1", 0, "", 3.5, detached=False),
    Stored(f"{RUN}-1"),
    Finished(2),
)


def test_a_journal_that_is_cut_anywhere_gives_the_state_after_its_complete_lines(tmp_path: Path) -> None:
    with journals.begin(tmp_path, BEGUN) as journal:
        for event in EVENTS:
            journal.append(event)
    path = tmp_path / RUN / "journal.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = whole[:size].count(b"\n") - 1
        with journals.resume(tmp_path, RUN) as journal:
            state = journal.state
            assert bool(state.hosts) == (complete > 0)
            assert (journal.get("jobs") == "42") == (complete > 1)
            assert [task.status for task in state.tasks.values()] == ["done" if complete > 2 else "waiting"]
            assert state.is_complete == (complete > 3)
            assert state.finished == (complete > 4)
            journal.append(Resumed(3))
        assert journals.read_state(tmp_path, RUN).finished is False
        path.write_bytes(whole)


def test_a_run_has_one_head_at_a_time_and_others_can_read_it(tmp_path: Path) -> None:
    with journals.begin(tmp_path, BEGUN):
        assert journals.is_running(tmp_path, RUN)
        assert journals.read_state(tmp_path, RUN).begun == BEGUN
        with pytest.raises(CampaignError, match="has a head already"), journals.resume(tmp_path, RUN):
            pass
    assert not journals.is_running(tmp_path, RUN)


def test_the_newest_run_is_the_last_that_has_begun(tmp_path: Path) -> None:
    assert journals.newest_run(tmp_path / "none") is None
    with journals.begin(tmp_path, BEGUN):
        pass
    later = tmp_path / "20260102-000000-0123abcd"  # its head was killed before it wrote the start
    later.mkdir()
    (later / "journal.jsonl").touch()
    (tmp_path / "notes").mkdir()
    assert journals.newest_run(tmp_path) == RUN


def test_the_accepted_run_is_stored_and_a_damaged_name_is_none(tmp_path: Path) -> None:
    assert journals.accepted_run(tmp_path) is None
    journals.accept_run(tmp_path, RUN)
    assert journals.accepted_run(tmp_path) == RUN
    (tmp_path / "accepted").write_text("../../etc\n")
    assert journals.accepted_run(tmp_path) is None


@pytest.mark.parametrize("content", [b'{"type":"finished","at_ns":1}\n', b"{}\n", b"\xff\n"])
def test_a_damaged_journal_is_an_error_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RUN).mkdir()
    path = tmp_path / RUN / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(CampaignError, match=str(path)):
        journals.read_state(tmp_path, RUN)


def test_runs_have_ids_of_their_own() -> None:
    assert len({journals.new_run() for _ in range(100)}) == 100
