"""Output files: a regular file is replaced as a whole, others are written directly, foreign links are refused."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from agent.runtime.output import check_output, output
from agent.runtime.path_walk import resolved
from command import ROOT, as_nobody
from written_files import mounted, names, needs_root, script, write


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_gets_its_mode_from_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "out"), (tmp_path / "out").read_bytes()) == (0o640, b"new")


def test_a_file_is_replaced_as_a_whole_and_retains_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("old")
    file.chmod(0o604)
    with file.open() as reader, output(file) as stream:
        stream.write(b"new")
        assert file.read_text() == "old"
        stream.flush()
        assert reader.read() == "old"
    assert (file.read_text(), mode_of(file), names(tmp_path)) == ("new", 0o604, ["out"])


def test_a_given_mode_overrides_umask_and_file(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(tmp_path / "fresh", mode=0o644)
    finally:
        os.umask(before)
    (tmp_path / "old").touch(0o600)
    write(tmp_path / "old", mode=0o644)
    assert (mode_of(tmp_path / "fresh"), mode_of(tmp_path / "old")) == (0o644, 0o644)


@needs_root
def test_a_file_retains_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("old")
    os.chown(file, 1234, 5678)
    file.chmod(0o640)
    write(file)
    found = file.stat()
    assert (found.st_uid, found.st_gid, mode_of(file), file.read_text()) == (1234, 5678, 0o640, "new")


def stop_after_half(stream: BinaryIO, error: BaseException) -> None:
    stream.write(b"half")
    raise error


@pytest.mark.parametrize("error", [OSError("broken"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "out"
    file.write_text("old")
    with pytest.raises(type(error)), output(file) as stream:
        stop_after_half(stream, error)
    assert (file.read_text(), names(tmp_path)) == ("old", ["out"])
    with pytest.raises(type(error)), output(tmp_path / "fresh"):
        raise error
    assert names(tmp_path) == ["out"]


def run_script(tmp_path: Path, text: str, **more: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(script(tmp_path, text), env=env, cwd="/", capture_output=True, text=True, check=False, **more)


def test_a_file_without_write_permission_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "out").write_text("old")
    with as_nobody(folder) as user:
        (folder / "out").chmod(0o444)
        done = run_script(tmp_path, f"with output(Path({str(folder / 'out')!r})): pass", **user)
    assert "PermissionError: [Errno 13] Permission denied" in done.stderr
    assert (folder / "out").read_text() == "old"


@pytest.mark.parametrize("folder_mode", [0o755, 0o777])
def test_a_writable_file_of_another_owner_is_written_in_place(tmp_path: Path, folder_mode: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can create files of other users")
    folder = tmp_path / "theirs"
    folder.mkdir()
    file = folder / "out"
    file.write_text("a much longer text than before")
    file.chmod(0o666)
    number = file.stat().st_ino
    with as_nobody(folder) as user:
        folder.chmod(folder_mode)
        text = f"with output(Path({str(file)!r})) as stream: stream.write(b'new')"
        done = run_script(tmp_path, text, **user)
    assert (done.stderr, file.read_text(), file.stat().st_ino, file.stat().st_uid) == ("", "new", number, 0)
    assert names(folder) == ["out"]


@needs_root
def test_a_file_that_is_a_mount_point_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("old")
    (tmp_path / "target").touch()
    with mounted("--bind", str(tmp_path / "source"), str(tmp_path / "target")):
        write(tmp_path / "target")
    assert ((tmp_path / "source").read_text(), sorted(names(tmp_path))) == ("new", ["source", "target"])


@needs_root
@pytest.mark.parametrize("by_link", [False, True])
def test_a_device_is_written_and_stays_a_device(tmp_path: Path, by_link: bool) -> None:
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "link").symlink_to(device)
    write(tmp_path / "link" if by_link else device)
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert sorted(names(tmp_path)) == ["link", "null"]


def test_a_pipe_is_written(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(daemon=True, target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write(fifo)
    reader.join(60)
    assert (read, stat.S_ISFIFO(fifo.lstat().st_mode)) == ([b"new"], True)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"])
@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_an_open_descriptor_is_written_at_its_position(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    path = tmp_path / name  # an absolute name remains as it is
    text = f"os.write(1, b'one ')\nwith output(Path({str(path)!r})) as s: s.write(b'two ')\nos.write(1, b'three')"
    with_it: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    line = script(tmp_path, text)
    if kind == "file":
        with (tmp_path / "file").open("wb") as stream:
            subprocess.run(line, stdout=stream, check=True, **with_it)
        found = (tmp_path / "file").read_bytes()
    elif kind == "pipe":
        found = subprocess.run(line, stdout=subprocess.PIPE, check=True, **with_it).stdout
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run(line, stdout=theirs, check=True, **with_it)
            found = ours.recv(100)
    assert found == b"one two three"


@pytest.mark.parametrize(("make", "words"), [("folder", "folder"), ("socket", "socket"), ("missing/out", "No such")])
def test_a_path_that_cannot_hold_a_file_is_named(tmp_path: Path, make: str, words: str) -> None:
    path = tmp_path / make
    if make == "folder":
        path.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        if make == "socket":
            listener.bind(str(path))
        with pytest.raises(OSError, match=words):
            write(path)


def test_a_nul_in_a_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="NUL"), resolved(Path(f"{tmp_path}/a\0b")):
        pass


# --- a check before the work ----------------------------------------------------------------------------------------


def test_a_check_leaves_the_folder_and_the_file_as_they_are(tmp_path: Path) -> None:
    check_output(tmp_path / "new")
    (tmp_path / "old").write_text("old")
    check_output(tmp_path / "old")
    os.mkfifo(tmp_path / "pipe")
    check_output(tmp_path / "pipe")  # opening it would wait for a reader
    assert (sorted(names(tmp_path)), (tmp_path / "old").read_text()) == (["old", "pipe"], "old")


@pytest.mark.parametrize("path", ["absent/new", ".", "/proc/new"])
def test_a_check_finds_a_path_that_cannot_be_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(OSError, match=r"folder|No such file|denied"):
        check_output(tmp_path / path)


def test_a_check_finds_a_descriptor_that_is_open_for_reading_only(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    with (tmp_path / "old").open() as stream, pytest.raises(OSError, match="for reading only"):
        check_output(Path(f"/dev/fd/{stream.fileno()}"))
    with (tmp_path / "old").open("w") as stream:
        check_output(Path(f"/dev/fd/{stream.fileno()}"))


@needs_root
def test_a_check_finds_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o755)
    text = f"from agent.runtime.output import check_output; check_output(Path({str(tmp_path / 'closed/new')!r}))"
    with as_nobody(tmp_path) as user:
        done = run_script(tmp_path, text, **user)
    assert "PermissionError: [Errno 13] Permission denied" in done.stderr
