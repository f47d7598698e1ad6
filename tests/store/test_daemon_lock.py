from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select

from store import schema
from store.database import daemon_lock
from store.errors import StoreError, StoreInUseError
from store.network_disk import file_system, refuse_network_disk
from store.records import Tick
from store.writer import Writer


def lock_file(path):
    return path.with_name(f"{path.name}.daemon")


def refusal(engine):
    with pytest.raises(StoreError) as refused, daemon_lock(engine, "host"):
        pass
    return str(refused.value)


def test_a_second_daemon_is_refused_with_the_process_number_of_the_first(start_child, engine, path):
    holder = start_child("hold", path)
    assert holder.stdout.readline() == "held\n"
    assert refusal(engine) == (
        f"{path}: a daemon (process {holder.pid}) already writes here. "
        "Stop that one (systemctl stop inferometer), or start this one with another --database"
    )


def test_the_lock_is_free_when_its_daemon_stops_and_when_it_is_killed(start_child, engine, path):
    for end in ("stop", "kill"):
        holder = start_child("hold", path)
        assert holder.stdout.readline() == "held\n"
        holder.stdin.close() if end == "stop" else holder.kill()
        holder.wait()
        with daemon_lock(engine, "host"):
            assert lock_file(path).read_text() == f"{os.getpid()}\n"


def test_two_names_of_a_file_share_one_lock(opened, engine, path):
    link = path.with_name("link.db")
    link.symlink_to(path)
    with daemon_lock(engine, "host"):
        assert f"{path}: a daemon (process {os.getpid()})" in refusal(opened(link))


def test_two_databases_have_two_locks(opened, engine, tmp_path):
    with daemon_lock(engine, "host"), daemon_lock(opened(tmp_path / "another.db"), "host"):
        assert len(list(tmp_path.glob("*.daemon"))) == 2


def test_the_lock_is_released_if_its_block_fails(engine):
    with pytest.raises(ZeroDivisionError), daemon_lock(engine, "host"):
        raise ZeroDivisionError
    with daemon_lock(engine, "host"):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(engine, path):
    target = path.with_name("precious")
    target.write_text("kept")
    lock_file(path).symlink_to(target)
    assert "its lock file inferometer.db.daemon cannot be opened" in refusal(engine)
    assert target.read_text() == "kept"


@pytest.fixture
def shared(opened, open_folder):
    """A store that every user can write."""
    path = open_folder / "inferometer.db"
    opened(path).dispose()
    path.chmod(0o666)
    open_folder.chmod(0o777)
    return path


def test_an_unreadable_lock_file_is_reported_with_its_remedy(run_child, shared):
    lock_file(shared).touch(mode=0o400)
    lock_file(shared).chmod(0o000)
    assert run_child("hold", shared, nobody=True) == (
        f"refused: {shared}: its lock file inferometer.db.daemon cannot be opened (Permission denied). "
        f"Run as its owner, or delete {lock_file(shared)}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own a file as another user")
def test_a_daemon_started_by_root_leaves_a_lock_file_to_the_owner_of_the_store(run_child, opened, shared):
    os.chown(shared, 65534, 65534)
    with daemon_lock(opened(shared), "host"):
        pass
    assert lock_file(shared).stat().st_uid == 65534
    assert stat.S_IMODE(lock_file(shared).stat().st_mode) & 0o007 == 0
    assert run_child("hold", shared, nobody=True) == "held"


def test_a_lock_file_that_was_deleted_or_replaced_is_taken_again(engine, path, tmp_path):
    with daemon_lock(engine, "host") as lock:
        lock.verify()
        lock_file(path).unlink()
        lock.verify()
        assert lock_file(path).read_text() == f"{os.getpid()}\n"
        other = tmp_path / "other"
        other.touch()
        other.replace(lock_file(path))
        lock.verify()
        assert "already writes here" in refusal(engine)
        assert lock.lost == ""


def test_a_daemon_that_lost_its_lock_file_to_another_stops_writing(start_child, engine, path, host):
    with daemon_lock(engine, "host") as lock:
        writer = Writer(engine, lock.verify)
        [layout] = writer.register(host, [("none", ())], "daemon", 1)
        writer.append([Tick(layout.id, 1, 1, ())])
        lock_file(path).unlink()
        holder = start_child("hold", path)
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(StoreInUseError, match=f"process {holder.pid}"):
                writer.append([Tick(layout.id, 2, 2, ())])
        assert f"a daemon (process {holder.pid}) already writes here" in lock.lost
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(schema.ticks)).scalar() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
def test_a_lock_is_taken_on_a_full_disk(opened, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    try:
        engine = opened(place / "inferometer.db")
        with (place / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        with daemon_lock(engine, "host") as lock:
            lock.verify()
            with pytest.raises(StoreInUseError), daemon_lock(engine, "host"):
                pass
        engine.dispose()
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


MOUNTS = """\
22 27 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 27 0:50 / /srv/shared rw,relatime shared:50 - nfs4 server:/export rw,vers=4.2
91 27 0:51 / /srv/with\\040space rw - cifs //server/share rw
92 90 8:2 / /srv/shared/local rw shared:51 master:1 - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/lib/inferometer.db", "ext4"),
        ("/srv/shared/inferometer.db", "nfs4"),
        ("/srv/sharedother/inferometer.db", "ext4"),
        ("/srv/with space/inferometer.db", "cifs"),
        ("/srv/shared/local/inferometer.db", "xfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(place, kind):
    assert file_system(Path(place), MOUNTS) == kind


def test_a_database_on_a_network_file_system_is_refused_to_a_daemon(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*Use a database on a local disk"):
        refuse_network_disk(Path("/srv/shared/inferometer.db"), mounts)
    refuse_network_disk(Path("/var/lib/inferometer.db"), mounts)
    refuse_network_disk(Path("/srv/shared/inferometer.db"), tmp_path / "nowhere")
