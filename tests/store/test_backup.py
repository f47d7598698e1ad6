from __future__ import annotations

import os
import shutil
import subprocess
import threading

import pytest

from probes.model import Channel, Device, Kind
from store.backup import backup
from store.errors import StoreError, TransientStoreError
from store.maintenance.integrity import check
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer

SECOND = 10**9
START = 1_700_000_400 * SECOND
CHANNELS = tuple(Channel(Device(f"gpu-{n}", Kind.GPU), "board", "power_watts") for n in range(2))


@pytest.fixture
def filled(engine):
    """1300 ticks of two channels."""
    writer = Writer(engine)
    [layout] = writer.register(Host("h", "n"), [("nvml", CHANNELS)], "test", START)
    writer.append([tick(layout, at, float(at), 2.0) for at in range(1300)])
    return writer, layout


def tick(layout, at, *values):
    return Tick(layout.id, START + at * SECOND, START + at * SECOND, values)


def test_a_copy_made_during_writes_is_a_complete_store(opened, engine, filled, tmp_path):
    writer, layout = filled
    stop = threading.Event()

    def write():
        at = 1300
        while not stop.is_set():
            writer.append([tick(layout, at, float(at), 2.0)])
            at += 1

    thread = threading.Thread(target=write)
    thread.start()
    to = tmp_path / "copy.db"
    size = backup(engine, to)
    stop.set()
    thread.join()
    assert to.stat().st_size == size
    assert to.stat().st_mode & 0o777 == 0o640
    copy = opened(to)
    [first, _] = Reader(copy).series(writer.recording, 0, 2**62)
    assert first.values == tuple(map(float, range(len(first.values))))
    assert len(first.values) >= 1300
    assert check(copy) == ()
    assert sorted(each.name for each in tmp_path.glob("*copy*.part*")) == []


def test_a_copy_overwrites_nothing(engine, tmp_path):
    to = tmp_path / "copy.db"
    to.write_text("precious")
    with pytest.raises(StoreError, match=r"copy\.db: a file or folder of this name exists"):
        backup(engine, to)
    assert to.read_text() == "precious"


def test_a_failed_copy_states_the_reason(engine, tmp_path):
    with pytest.raises(StoreError, match=r"copy\.db: its folder cannot be used \(No such file or directory\)\. Make "):
        backup(engine, tmp_path / "nowhere" / "copy.db")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a tmpfs")
def test_a_copy_too_large_for_the_disk_is_refused_before_any_write(engine, filled, tmp_path):
    assert filled
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    try:
        with pytest.raises(TransientStoreError, match=r"copy\.db: the copy needs \d+ bytes, and its disk has \d+ left"):
            backup(engine, place / "copy.db")
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
