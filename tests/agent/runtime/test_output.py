"""Output files: a regular file is replaced as a whole, others are written directly, foreign links are refused."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from agent.runtime.output import output
from agent.runtime.path_walk import ForeignLinkError, resolved
from command import ROOT, as_nobody, call, run
from nobody import NOBODY
from stored import SECOND_NS, record, store_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGAN_NS = 1_700_000_000 * SECOND_NS
BETWEEN = ("--since", "2023-11-14T22:00:00Z", "--until", "2023-11-14T23:00:00Z")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can create device nodes, mounts and files of others"
)


def write(path: Path, content: bytes = b"new", mode: int | None = None) -> None:
    with output(path, mode) as stream:
        stream.write(content)


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store holds 58 samples."""
    home = tmp_path_factory.mktemp("home")
    record(home, [BEGAN_NS + n * SECOND_NS for n in range(20)])
    return home


@pytest.fixture
def sticky(tmp_path: Path) -> Path:
    """A folder like /tmp, whose owner is neither root nor nobody, so that no test file has the same owner."""
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


# --- regular files --------------------------------------------------------------------------------------------------


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


def script(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "script.py"
    file.write_text(f"import os, sys\nfrom pathlib import Path\nfrom agent.runtime.output import output\n{text}")
    return [sys.executable, str(file)]


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


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this host allows no mount here: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/target").write_text("old")
    (tmp_path / "hop").symlink_to("folder/target")
    (tmp_path / "link").symlink_to(tmp_path / "hop")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder/target").read_text() == "new"


def test_a_dangling_link_creates_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link")
    assert (tmp_path / "target").read_text() == "new"


def test_relative_paths_and_parent_folders_resolve_as_in_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "short").symlink_to("a/b")
    monkeypatch.chdir(tmp_path / "a")
    write(Path("b/../one"))
    write(Path("../short/../two"))
    assert sorted(names(tmp_path / "a")) == ["b", "one", "two"]


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "one")


@needs_root
@pytest.mark.parametrize("last", [True, False])
def test_a_foreign_link_in_a_sticky_folder_is_refused_by_name(tmp_path: Path, sticky: Path, last: bool) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/shadow").write_text("old")
    link = sticky / "link"
    link.symlink_to(tmp_path / ("secret/shadow" if last else "secret"))
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ForeignLinkError, match=f"the link {link} belongs to user {NOBODY}"):
        write(link if last else link / "shadow")
    assert (tmp_path / "secret/shadow").read_text() == "old"
    os.chown(link, 0, 0, follow_symlinks=False)
    write(link if last else link / "shadow")
    assert (tmp_path / "secret/shadow").read_text() == "new"


@needs_root
def test_a_link_of_the_folders_owner_is_followed(tmp_path: Path, sticky: Path) -> None:
    os.chown(sticky, NOBODY, NOBODY)
    (sticky / "link").symlink_to(tmp_path / "target")
    os.chown(sticky / "link", NOBODY, NOBODY, follow_symlinks=False)
    write(sticky / "link")
    assert (tmp_path / "target").read_text() == "new"


@needs_root
@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_a_foreign_file_in_a_sticky_folder_is_not_written(sticky: Path, kind: str) -> None:
    path = sticky / "out"
    os.mkfifo(path) if kind == "fifo" else path.write_text("old")
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match=f"it belongs to user {NOBODY}"):
        write(path)


# --- other files ----------------------------------------------------------------------------------------------------


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


# --- the commands ---------------------------------------------------------------------------------------------------


@needs_root
def test_samples_written_to_a_device_or_a_link_do_not_replace_it(home: Path, tmp_path: Path) -> None:
    device, link = tmp_path / "null", tmp_path / "link.csv"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    link.symlink_to("real.csv")
    for path in (device, link):
        assert call(home, "samples", *BETWEEN, "-o", path).returncode == 0
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert link.is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 59


def test_parquet_can_be_written_to_a_pipe(home: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = threading.Thread(daemon=True, target=lambda: (tmp_path / "copy").write_bytes(fifo.read_bytes()))
    reader.start()
    done = run(home, "samples", *BETWEEN, "--format", "parquet", "-o", fifo)
    reader.join(60)
    assert (done.returncode, parquet.read_table(tmp_path / "copy").num_rows) == (0, 58)


def fill(filler: Path) -> None:
    """Fill the disk of a file."""
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 4096):
            pass


@needs_root
def test_a_full_disk_is_named_with_its_file_and_leaves_the_old_one(home: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)):
        (small / "out.csv").write_text("old")
        fill(small / "filler")
        for line in (("--format", "csv"), ("--format", "parquet")):
            done = run(home, "samples", *BETWEEN, *line, "-o", small / "out.csv")
            assert done.returncode == 1, done.stderr
            assert f"error: {small}/out.csv: it cannot be written (No space left on device" in done.stderr
            assert "Traceback" not in done.stderr
        assert ((small / "out.csv").read_text(), sorted(names(small))) == ("old", ["filler", "out.csv"])


@needs_root
@pytest.mark.parametrize(
    "line",
    [("samples", "-o"), ("profiles", "export", "latest", "-o"), ("db", "backup")],
)
def test_no_command_writes_through_a_foreign_link(home: Path, sticky: Path, line: tuple[str, ...]) -> None:
    target = sticky.parent / "target"
    (sticky / "folder").symlink_to(sticky.parent)
    os.chown(sticky / "folder", NOBODY, NOBODY, follow_symlinks=False)
    if line[0] == "profiles":
        store_profile(home, (ROOT / "docs/profile.example.json").read_text())
    done = call(home, *line, sticky / "folder/target")
    assert done.returncode == 2, done.stderr
    assert f"the link {sticky}/folder belongs to user {NOBODY}" in done.stderr
    assert not target.exists()


@needs_root
def test_a_model_behind_a_foreign_link_is_not_run(home: Path, sticky: Path) -> None:
    (sticky / "model.onnx").symlink_to("/etc/passwd")
    os.chown(sticky / "model.onnx", NOBODY, NOBODY, follow_symlinks=False)
    done = call(home, "profile", "onnx", "--model", sticky / "model.onnx")
    assert done.returncode == 2
    assert f"the link {sticky}/model.onnx belongs to user {NOBODY}" in done.stderr


@needs_root
def test_an_input_behind_a_foreign_link_is_not_read(home: Path, sticky: Path) -> None:
    (sticky.parent / "m.onnx").write_bytes(b"never read")
    (sticky / "x.npy").symlink_to("/etc/passwd")
    os.chown(sticky / "x.npy", NOBODY, NOBODY, follow_symlinks=False)
    done = call(home, "profile", "onnx", "--model", sticky.parent / "m.onnx", "--input", f"x={sticky}/x.npy")
    assert done.returncode == 2
    assert f"the link {sticky}/x.npy belongs to user {NOBODY}" in done.stderr


def test_a_command_that_is_stopped_leaves_no_partial_file(tmp_path: Path) -> None:
    text = (
        f"import signal\nwith output(Path({str(tmp_path / 'out')!r})) as stream:\n"
        "    stream.write(b'x' * 100000); print('writing', flush=True); signal.pause()"
    )
    line = script(tmp_path, text)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert names(tmp_path) == ["script.py"]
