"""The journal of a run: what it holds after any end of the head."""

from __future__ import annotations

import fcntl
import os
import resource
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from agent.campaigns import journal as journals
from agent.campaigns.errors import CampaignError
from agent.campaigns.events import Begun, Checked, Ended, Finished, Noted, PlannedTask, Resumed, Stored
from agent.runtime.typed_json import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN, LATER = "20260101-000000-0123abcd", "20260102-000000-0123abcd"
BEGUN = Begun(RUN, 1, "1.0", ("one",), ("transformer",), (PlannedTask(f"{RUN}-1", "one", 0, 1),), {"repetitions": "1"})
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
            expected = "done" if complete > 3 else "fetched" if complete > 2 else "waiting"
            assert [task.status for task in state.tasks.values()] == [expected]
            assert state.is_complete == (complete > 3)
            assert state.finished == (complete > 4)
            journal.append(Resumed(3))
        assert journals.read_state(tmp_path, RUN).finished is False
        path.write_bytes(whole)


def test_a_campaign_has_one_head_at_a_time_and_others_can_read_its_run(tmp_path: Path) -> None:
    assert not journals.is_running(tmp_path / "none")
    with journals.begin(tmp_path, BEGUN):
        assert journals.is_running(tmp_path)
        assert journals.read_state(tmp_path, RUN).begun == BEGUN
        with pytest.raises(CampaignError, match="has a head already"), journals.resume(tmp_path, RUN):
            pass
        second = replace(BEGUN, run=LATER)
        with pytest.raises(CampaignError, match="has a head already"), journals.begin(tmp_path, second):
            pass
        assert not (tmp_path / LATER).exists()
    assert not journals.is_running(tmp_path)


def test_a_reader_that_asks_whether_a_head_runs_stops_none(tmp_path: Path) -> None:
    with journals.begin(tmp_path, BEGUN):
        pass
    reader = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    assert not journals.is_running(tmp_path)
    timer = Timer(0.15, os.close, (reader,))
    timer.start()
    with journals.resume(tmp_path, RUN):
        timer.join()


def test_the_newest_run_is_the_last_whose_start_is_written_as_a_whole(tmp_path: Path) -> None:
    assert journals.newest_run(tmp_path / "none") is None
    with journals.begin(tmp_path, BEGUN):
        pass
    start = (tmp_path / RUN / "journal.jsonl").read_bytes()
    later = tmp_path / LATER  # its head was killed before it had written the start
    later.mkdir()
    (tmp_path / "notes").mkdir()
    for size in range(len(start)):
        (later / "journal.jsonl").write_bytes(start[:size])
        assert journals.newest_run(tmp_path) == RUN
    (later / "journal.jsonl").write_bytes(start)
    assert journals.newest_run(tmp_path) == LATER


def test_an_event_that_a_full_disk_refuses_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    with journals.begin(tmp_path, BEGUN) as journal:
        path = journal.folder / "journal.jsonl"
        whole = path.read_bytes()
        line = len(f"{to_json(EVENTS[0], separators=(',', ':'))}\n")
        for part in range(line):
            with limited_files(len(whole) + part), pytest.raises(OSError, match="File too large"):
                journal.append(EVENTS[0])
            assert path.read_bytes() == whole
            assert journal.state.hosts == {}
        for event in EVENTS:
            journal.append(event)
    state = journals.read_state(tmp_path, RUN)
    assert (state.is_complete, state.finished, state.damaged_lines) == (True, True, 0)


def test_a_damaged_line_is_left_out_and_counted_and_the_others_are_read(tmp_path: Path) -> None:
    with journals.begin(tmp_path, BEGUN) as journal:
        for event in EVENTS:
            journal.append(event)
    path = tmp_path / RUN / "journal.jsonl"
    lines = path.read_bytes().splitlines()
    for damaged in (b"\0" * 40, lines[1][:30] + lines[3], b"\xff", b'{"type":"of a later version"}'):
        path.write_bytes(b"\n".join([lines[0], damaged, *lines[2:], b""]))
        with journals.resume(tmp_path, RUN) as journal:
            assert (journal.state.damaged_lines, journal.state.hosts) == (1, {})
            assert journal.state.is_complete


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size during the block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_accepted_run_is_stored_and_a_damaged_name_is_an_error(tmp_path: Path) -> None:
    assert journals.accepted_run(tmp_path) is None
    journals.accept_run(tmp_path, RUN)
    assert journals.accepted_run(tmp_path) == RUN
    (tmp_path / "accepted").write_text("../../etc\n")
    with pytest.raises(CampaignError, match="is not a run, so there is nothing to compare with"):
        journals.accepted_run(tmp_path)


@pytest.mark.parametrize("content", [b'{"type":"finished","at_ns":1}\n', b"{}\n", b"\xff\n"])
def test_a_damaged_journal_is_an_error_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RUN).mkdir()
    path = tmp_path / RUN / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(CampaignError, match=str(path)):
        journals.read_state(tmp_path, RUN)


def test_runs_have_ids_of_their_own() -> None:
    assert len({journals.new_run() for _ in range(100)}) == 100
