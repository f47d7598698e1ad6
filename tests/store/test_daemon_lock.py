from __future__ import annotations

import os
import stat

import pytest

from store.database import daemon_lock
from store.errors import StoreError


def lock_file(path):
    return path.with_name(f"{path.name}.daemon")


def refusal(engine):
    with pytest.raises(StoreError) as refused, daemon_lock(engine):
        pass
    return str(refused.value)


def test_a_second_daemon_is_refused_by_the_number_of_the_first(start_child, engine, path):
    holder = start_child("hold", path)
    assert holder.stdout.readline() == "held\n"
    assert refusal(engine) == (
        f"{path}: a daemon (process {holder.pid}) already writes here. "
        "Stop that one (systemctl stop inferometer), or give this one a --database of its own"
    )


def test_the_lock_is_free_when_its_daemon_stops_and_when_it_is_killed(start_child, engine, path):
    for end in ("stop", "kill"):
        holder = start_child("hold", path)
        assert holder.stdout.readline() == "held\n"
        holder.stdin.close() if end == "stop" else holder.kill()
        holder.wait()
        with daemon_lock(engine):
            assert lock_file(path).read_text() == f"{os.getpid()}\n"


def test_two_names_of_one_file_are_one_lock(opened, engine, path):
    link = path.with_name("link.db")
    link.symlink_to(path)
    with daemon_lock(engine):
        assert f"{path}: a daemon (process {os.getpid()})" in refusal(opened(link))


def test_two_databases_are_two_locks(opened, engine, tmp_path):
    with daemon_lock(engine), daemon_lock(opened(tmp_path / "another.db")):
        assert len(list(tmp_path.glob("*.daemon"))) == 2


def test_the_lock_is_given_back_when_what_it_guards_fails(engine):
    with pytest.raises(ZeroDivisionError), daemon_lock(engine):
        raise ZeroDivisionError
    with daemon_lock(engine):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(engine, path):
    target = path.with_name("precious")
    target.write_text("kept")
    lock_file(path).symlink_to(target)
    assert "its lock file inferometer.db.daemon cannot be opened" in refusal(engine)
    assert target.read_text() == "kept"


@pytest.fixture
def shared(opened, open_folder):
    """A store that every user may write."""
    path = open_folder / "inferometer.db"
    opened(path).dispose()
    path.chmod(0o666)
    open_folder.chmod(0o777)
    return path


def test_a_lock_file_that_may_not_be_opened_is_named_with_its_remedy(run_child, shared):
    lock_file(shared).touch(mode=0o400)
    lock_file(shared).chmod(0o000)
    assert run_child("hold", shared, nobody=True) == (
        f"refused: {shared}: its lock file inferometer.db.daemon cannot be opened (Permission denied). "
        f"Run as its owner, or delete {lock_file(shared)}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own a file as another user")
def test_a_daemon_started_by_root_leaves_a_lock_file_to_the_owner_of_the_store(run_child, opened, shared):
    os.chown(shared, 65534, 65534)
    with daemon_lock(opened(shared)):
        pass
    assert lock_file(shared).stat().st_uid == 65534
    assert stat.S_IMODE(lock_file(shared).stat().st_mode) & 0o007 == 0
    assert run_child("hold", shared, nobody=True) == "held"
