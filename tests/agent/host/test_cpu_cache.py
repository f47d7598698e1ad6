from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from agent.host import cpu_cache
from agent.host.cpu_cache import FILE_NAME, fingerprint, identify, load_answer, state_folder, store_answer
from probes.cpu.library import LibraryAnswer
from probes.cpu.model import CpuModel, parse_cpuinfo
from trees import FIXTURES, write

if TYPE_CHECKING:
    from pathlib import Path

KEY = "a processor"
ANSWER = LibraryAnswer("GenuineIntel", "Some brand", "x86_64", ("avx2",))
ALTRA = (FIXTURES / "proc/altra/cpuinfo").read_text()


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the queries of py-cpuinfo, each of which would cost a second."""
    made: list[int] = []

    def query() -> LibraryAnswer:
        made.append(1)
        return ANSWER

    monkeypatch.setattr(cpu_cache, "query_library", query)
    return made


def test_the_first_start_queries_the_library_and_the_second_reads_its_answer(
    tmp_path: Path, queries: list[int]
) -> None:
    first = identify("/proc", tmp_path / "state")
    assert identify("/proc", tmp_path / "state") == first
    assert len(queries) == 1
    assert "avx2" in first.flags


def test_only_this_user_can_access_the_stored_answer_and_its_folder(tmp_path: Path, queries: list[int]) -> None:
    identify("/proc", tmp_path / "state")
    assert queries
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]


def test_another_processor_or_another_version_of_the_library_is_queried_again(
    tmp_path: Path, queries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    identify("/proc", tmp_path)
    monkeypatch.setattr(cpu_cache, "library_version", lambda: "99.0")
    identify("/proc", tmp_path)
    monkeypatch.setattr(cpu_cache, "fingerprint", lambda _: "other")
    identify("/proc", tmp_path)
    assert len(queries) == 3


def test_without_a_folder_nothing_is_stored(queries: list[int]) -> None:
    identify("/proc", None)
    identify("/proc", None)
    assert len(queries) == 2


def test_another_root_is_read_only_from_its_own_text(tmp_path: Path, queries: list[int]) -> None:
    write(tmp_path / "proc/cpuinfo", ALTRA)
    assert identify(str(tmp_path / "proc"), tmp_path) == parse_cpuinfo(ALTRA)
    assert identify(str(tmp_path / "none"), tmp_path) == CpuModel()
    assert not queries


def test_a_library_that_fails_leaves_the_text_and_stores_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_cache, "query_library", lambda: None)
    host = identify("/proc", tmp_path)
    assert host == parse_cpuinfo((tmp_path / "/proc/cpuinfo").read_text())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"{",
        b"[" * 60_000,
        b"[]",
        b"null",
        b'{"key": "a processor"}',
        b'{"key": "a processor", "answer": {"flags": [1]}}',
        b'{"key": "another", "answer": {}}',
        b'{"key": ' + b"9" * 5000 + b"}",
        json.dumps({"key": KEY, "answer": {}, "more": "x" * 70_000}).encode(),
    ],
)
def test_a_damaged_answer_is_ignored_and_replaced(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    assert load_answer(tmp_path, KEY) is None
    store_answer(tmp_path, KEY, ANSWER)
    assert load_answer(tmp_path, KEY) == ANSWER


def test_a_link_a_pipe_or_a_folder_instead_of_the_file_is_not_read(tmp_path: Path) -> None:
    store_answer(tmp_path / "elsewhere", KEY, ANSWER)
    for number, make in enumerate(
        (
            lambda path: path.symlink_to(tmp_path / "elsewhere" / FILE_NAME),
            os.mkfifo,
            lambda path: path.mkdir(),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / FILE_NAME)
        assert load_answer(folder, KEY) is None


def test_a_link_instead_of_the_file_is_replaced_and_its_target_unchanged(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / FILE_NAME).symlink_to(target)
    store_answer(folder, KEY, ANSWER)
    assert target.read_text() == "precious"
    assert load_answer(folder, KEY) == ANSWER


def test_no_answer_is_stored_in_a_folder_that_others_can_write(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    store_answer(folder, KEY, ANSWER)
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_a_folder_or_a_file_of_another_user_is_neither_used_nor_trusted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    store_answer(home / "state", KEY, ANSWER)
    assert not (home / "state").exists()
    store_answer(tmp_path / "own", KEY, ANSWER)
    os.chown(tmp_path / "own" / FILE_NAME, 12345, 12345)
    assert load_answer(tmp_path / "own", KEY) is None


def test_a_folder_that_cannot_be_created_is_ignored(tmp_path: Path, queries: list[int]) -> None:
    (tmp_path / "file").write_text("")
    assert identify("/proc", tmp_path / "file/state").flags
    assert queries


def test_the_service_uses_systemd_s_state_directory(tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path)}
    assert str(state_folder({"STATE_DIRECTORY": "/var/lib/inferometer:/var/lib/other"})) == "/var/lib/inferometer"
    assert state_folder(home) == tmp_path / "inferometer"


def test_fingerprint_changes_with_the_processor_and_not_with_its_clock() -> None:
    text = "processor\t: 0\nmodel name\t: One\ncpu MHz\t\t: 800.0\nbogomips\t: 1600.0\n"
    other_clock = text.replace("800.0", "3600.1").replace("bogomips\t: 1600.0", "BogoMIPS\t: 50.00")
    assert fingerprint(text) == fingerprint(other_clock)
    assert fingerprint(text) != fingerprint(text.replace("One", "Two"))
    assert fingerprint(text) != fingerprint(text + "\nprocessor\t: 1\n")
