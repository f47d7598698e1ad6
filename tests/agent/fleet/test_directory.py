"""A directory of bundles: complete files only, damaged ones are replaced, names never leave it."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from agent.bundles.archive import read_bundle
from agent.bundles.manifest import MAX_BUNDLE_BYTES, Bundle
from agent.bundles.writing import bundle_bytes
from agent.fleet.directory import OTHER_CONTENT, DirectoryPlace
from agent.fleet.errors import FleetError
from agent.fleet.place import Added, Key, Refused, digest_of
from agent.profiling.document.versions import parse
from fleet_documents import START_NS, document_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "fleet"
    made.mkdir()
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def add(folder: Path, *documents: dict[str, Any]) -> Added:
    return DirectoryPlace(folder).add(documents, anonymized=False)


def uids(folder: Path, known: tuple[str, ...] = (), since_ns: int = 0) -> list[str]:
    found = list(DirectoryPlace(folder).bundles(since_ns, dict.fromkeys(known, "import-id-of-a")))
    return [each.manifest.uid for each in found if isinstance(each, Bundle)]


def test_a_profile_is_a_bundle_named_after_its_uid(folder: Path) -> None:
    assert add(folder, document_of("a"), document_of("a", 1)).uids == ["a-0", "a-1"]
    assert names(folder) == ["a-0.zip", "a-1.zip"]
    assert read_bundle((folder / "a-0.zip").read_bytes()).document == document_of("a")
    assert stat.S_IMODE((folder / "a-0.zip").stat().st_mode) & 0o600 == 0o600


def test_the_same_profile_again_changes_nothing(folder: Path) -> None:
    add(folder, document_of("a"))
    before = (folder / "a-0.zip").stat()
    assert add(folder, document_of("a")) == Added()
    after = (folder / "a-0.zip").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_content_under_the_same_uid_is_refused(folder: Path) -> None:
    add(folder, document_of("a"))
    assert add(folder, document_of("a", notes=["other"])).refused == [Refused("a-0", OTHER_CONTENT)]
    assert read_bundle((folder / "a-0.zip").read_bytes()).document == document_of("a")


def test_a_profile_counts_as_stored_only_under_its_own_host_and_intact(folder: Path) -> None:
    add(folder, document_of("a"))
    place, key = DirectoryPlace(folder), Key("a-0", "import-id-of-a")
    others = [Key("a-0", "import-id-of-b"), Key("a-1", "import-id-of-a")]
    assert place.stored([key, *others]) == {key: digest_of(parse(json.dumps(document_of("a"))))}
    (folder / "a-0.zip").write_bytes((folder / "a-0.zip").read_bytes()[:500])
    assert place.stored([key]) == {}


def test_a_half_written_bundle_is_replaced_and_never_read(folder: Path) -> None:
    content = bundle_bytes(document_of("a"), None, None)
    (folder / "a-0.zip").write_bytes(content[: len(content) // 2])
    (folder / ".a-1.zip.0123.part").write_bytes(content)
    assert uids(folder) == []
    [refused] = DirectoryPlace(folder).bundles(0, {})
    assert isinstance(refused, Refused)
    assert refused.name == "a-0.zip"
    assert add(folder, document_of("a")).uids == ["a-0"]
    assert uids(folder) == ["a-0"]


def test_the_old_parts_of_own_profiles_are_removed_and_no_other_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"x")
    token, two_days_ago = "0123456789abcdef", time.time() - 2 * 86_400
    gone = {f".a-0.zip.{token}.part", f".a-1.zip.{token}.part"}
    kept = {f".b-0.zip.{token}.part", f".a-0.zip.{token[1:]}0.part", f".a-0.zip.{token}", "a-0.part", "..part"}
    for name in gone | kept:
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (two_days_ago, two_days_ago))
    os.utime(folder / f".a-0.zip.{token[1:]}0.part")
    link, pipe = folder / f".a-2.zip.{token}.part", folder / f".a-3.zip.{token}.part"
    link.symlink_to(tmp_path / "target")
    os.mkfifo(pipe)
    for path in (link, pipe):
        os.utime(path, (two_days_ago, two_days_ago), follow_symlinks=False)
    DirectoryPlace(folder).stored([Key(f"a-{number}", "import-id-of-a") for number in range(4)])
    assert set(names(folder)) == kept | {link.name, pipe.name}
    assert (tmp_path / "target").exists()


def test_writers_of_the_same_profile_leave_one_intact_bundle(folder: Path) -> None:
    done: list[Added] = []
    threads = [threading.Thread(target=lambda: done.append(add(folder, document_of("a")))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(each.uids) for each in done) == 1
    assert [each.refused for each in done] == [[]] * 12
    assert names(folder) == ["a-0.zip"]
    assert uids(folder) == ["a-0"]


def test_known_and_older_profiles_are_not_read_again(folder: Path) -> None:
    add(folder, *(document_of("a", number) for number in range(3)))
    hour_ns = 3600 * 10**9
    assert uids(folder, ("a-1",)) == ["a-0", "a-2"]
    assert uids(folder, since_ns=START_NS + hour_ns) == ["a-1", "a-2"]


@pytest.mark.parametrize("uid", ["../a", "/etc/passwd", ".a", "a/b", "", "a" * 65, "latest"])
def test_a_uid_never_forms_a_path(folder: Path, uid: str) -> None:
    [refused] = add(folder, document_of("a", id=uid)).refused
    assert "is not the id of a profile" in refused.reason
    assert DirectoryPlace(folder).stored([Key(uid, "import-id-of-a")]) == {}
    assert names(folder) == []


def test_a_bundle_under_another_name_and_a_planted_link_are_refused(folder: Path, tmp_path: Path) -> None:
    add(folder, document_of("a"))
    (folder / "a-0.zip").rename(folder / "b-0.zip")
    (folder / "other.zip").symlink_to(tmp_path / "nothing")
    found = list(DirectoryPlace(folder).bundles(0, {}))
    assert [each.name for each in found if isinstance(each, Refused)] == ["b-0.zip", "other.zip"]
    assert uids(folder) == []


def test_the_hosts_have_their_newest_profile_and_damaged_files_are_reported(folder: Path) -> None:
    add(folder, document_of("b", 5), document_of("a", 2), document_of("a", 7), document_of("a", 3))
    (folder / "c.zip").write_bytes(b"PK")
    refused: list[Refused] = []
    found = DirectoryPlace(folder).hosts(refused.append)
    shown = [(host.name, host.host_id, host.profiles, (host.newest_ns - START_NS) // (3600 * 10**9)) for host in found]
    assert shown == [("a", "import-id-of-a", 3, 7), ("b", "import-id-of-b", 1, 5)]
    assert [each.name for each in refused] == ["c.zip"]


def test_a_long_name_of_a_host_is_cut(folder: Path) -> None:
    document = document_of("a")
    document["host"]["name"] = "x" * 100_000
    add(folder, document)
    assert [host.name for host in DirectoryPlace(folder).hosts(lambda _: None)] == ["x" * 200]


def test_an_absent_directory_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"this is not a directory\. Make it, or mount it"):
        DirectoryPlace(tmp_path / "mount")
    assert names(tmp_path) == []


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("only root makes devices")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".fifo"))
    path.symlink_to(path.with_suffix(".fifo"))


def oversized(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(MAX_BUNDLE_BYTES + 1)


PLANTED: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": device,
    "folder": lambda path: path.mkdir(),
    "link to itself": lambda path: path.symlink_to(path),
    "link to a pipe": link_to_a_pipe,
    "link to a bundle": lambda path: path.symlink_to(path.with_name("b-0.zip")),
    "huge file": oversized,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_file_is_refused_by_name_and_delays_no_reader_and_no_writer(folder: Path, kind: str) -> None:
    add(folder, document_of("b"))
    PLANTED[kind](folder / "a-0.zip")
    before = (folder / "a-0.zip").lstat()
    assert uids(folder) == ["b-0"]
    done = add(folder, document_of("a"), document_of("a", 1))
    assert (done.uids, [each.name for each in done.refused]) == (["a-1"], ["a-0"])
    assert (folder / "a-0.zip").lstat().st_ino == before.st_ino
    refused: list[Refused] = []
    assert [host.name for host in DirectoryPlace(folder).hosts(refused.append)] == ["a", "b"]
    assert [each.name for each in refused] == ["a-0.zip"]
    assert [name for name in names(folder) if name.startswith(".")] == []


def test_an_intact_bundle_that_cannot_be_used_is_never_replaced(folder: Path) -> None:
    add(folder, document_of("b"))
    (folder / "b-0.zip").rename(folder / "a-0.zip")  # of another host, under the name of ours
    with zipfile.ZipFile(folder / "a-0.zip") as archive:
        newer = json.loads(archive.read("manifest.json")) | {"uid": "a-1", "schema_version": "9.0"}
    with zipfile.ZipFile(folder / "a-1.zip", "w") as archive:  # of a later version
        archive.writestr("manifest.json", json.dumps(newer))
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    done = add(folder, document_of("a"), document_of("a", 1))
    assert [each.name for each in done.refused] == ["a-0", "a-1"]
    assert "it is the bundle of b-0" in done.refused[0].reason
    assert "install a newer inferometer" in done.refused[1].reason
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
