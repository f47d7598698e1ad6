"""Locks on PostgreSQL: of daemons, of maintenance, and after the loss of connections."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import func, select, text

from daemons import create_host, launched
from store import schema
from store.database import daemon_lock
from store.errors import MissingDatabaseError, StoreError, StoreInUseError
from store.locks import maintenance_lock
from store.records import Tick
from store.writer import Writer
from waiting import await_true

pytestmark = pytest.mark.system


def test_a_second_daemon_is_refused_until_the_first_ends(start_child, opened, url):
    holder = start_child("hold", url)
    assert holder.stdout.readline() == "held\n"
    engine = opened(url)
    with pytest.raises(StoreError) as refused, daemon_lock(engine, "host"):
        pass
    assert "a daemon (on the same host as the server, session " in str(refused.value)
    assert "already writes here. Stop that one" in str(refused.value)
    holder.kill()
    holder.wait()
    deadline = time.monotonic() + 30
    while True:  # the server takes a moment to notice that the connection is gone
        try:
            with daemon_lock(engine, "host"):
                break
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_lock_is_released_and_holds_no_transaction_open(engine, opened, url):
    with daemon_lock(engine, "host"), engine.connect() as connection:
        idle = text(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
        )
        assert connection.execute(idle).scalar() == 0
    with daemon_lock(opened(url), "host"):
        pass


def end_connections(server):
    """End every connection to the tests' databases, as a restart of the server does."""
    with server[1].connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname LIKE 'test%'")
        )


def test_a_lock_dropped_by_the_server_is_taken_again_before_the_next_write(engine, opened, url, server, host):
    with daemon_lock(engine, "host") as lock:
        writer = Writer(engine, lock.verify)
        [layout] = writer.register(host, [("none", ())], "daemon", 1)
        writer.append([Tick(layout.id, 1, 1, ())])
        end_connections(server)
        writer.append([Tick(layout.id, 2, 2, ())])
        with pytest.raises(StoreInUseError), daemon_lock(opened(url), "host"):
            pass
        assert lock.lost == ""


def test_a_daemon_that_lost_its_lock_to_another_after_a_restart_stops_writing(engine, start_child, url, server, host):
    with daemon_lock(engine, "host") as lock:
        writer = Writer(engine, lock.verify)
        [layout] = writer.register(host, [("none", ())], "daemon", 1)
        end_connections(server)
        holder = start_child("hold", url)
        assert holder.stdout.readline() == "held\n"
        for _ in range(3):
            with pytest.raises(StoreInUseError, match="already writes here"):
                writer.append([Tick(layout.id, 1, 1, ())])
        assert "each needs a different /etc/machine-id" in lock.lost
    with engine.connect() as connection:
        assert connection.execute(select(schema.ticks)).all() == []


def test_one_of_two_daemons_continues_after_a_restart_of_the_server(engine, server, url, tmp_path):
    homes = [create_host(tmp_path / name) for name in ("first", "second")]

    def rows():
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(schema.ticks)).scalar()

    with launched(homes[0], "--database", url) as first:
        first.await_log("msg=started")
        with launched(homes[1], "--database", url) as refused:
            assert refused.process.wait(60) == 1
            assert refused.logged("already writes here")
        engine.dispose()
        server[2]()
        with launched(homes[1], "--database", url) as second:
            daemons = (first, second)
            await_true(lambda: any(daemon.process.poll() is not None for daemon in daemons))
            [left] = [daemon for daemon in daemons if daemon.process.poll() is None]
            before = rows()
            await_true(lambda: rows() > before)
            assert left.process.poll() is None
        assert [daemon.logged("duplicate key") for daemon in daemons] == [[], []]


def test_hosts_share_a_server_and_only_one_of_them_maintains_it_at_a_time(engine, opened, url):
    with daemon_lock(engine, "one"), daemon_lock(opened(url), "two"):
        with maintenance_lock(engine) as first, maintenance_lock(engine) as second:
            assert (first, second) == (True, False)
        with maintenance_lock(engine) as again:
            assert again


def test_reading_a_database_without_tables_creates_none(opened, url):
    with pytest.raises(MissingDatabaseError, match=r"postgresql\+psycopg://tester@/test.*: there is no database here"):
        opened(url, create=False)
