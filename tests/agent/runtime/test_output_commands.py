"""The files that commands write: devices, links, pipes, full disks and signals."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from command import ROOT, call, run
from nobody import NOBODY
from stored import SECOND_NS, record, store_profile
from written_files import fill, mounted, names, needs_root, script

if TYPE_CHECKING:
    from pathlib import Path

BEGAN_NS = 1_700_000_000 * SECOND_NS
BETWEEN = ("--since", "2023-11-14T22:00:00Z", "--until", "2023-11-14T23:00:00Z")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store holds 58 samples."""
    home = tmp_path_factory.mktemp("home")
    record(home, [BEGAN_NS + n * SECOND_NS for n in range(20)])
    return home


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
