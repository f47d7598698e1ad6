from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from store.error_messages import translate_errors
from store.errors import ForeignHostError, MissingDatabaseError, StoreError, TransientStoreError, UnstorableError
from store.reader import Reader
from store.records import Host
from store.url import display, parse
from store.writer import Writer


def refusal(opened, url, **settings):
    with pytest.raises(StoreError) as refused:
        opened(url, **settings)
    return str(refused.value)


@pytest.mark.parametrize("content", [b"hi", b"plain words\n" * 1000, bytes(4096), b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_other_than_a_database_is_refused_and_unchanged(opened, path, content):
    path.write_bytes(content)
    assert refusal(opened, path) == (
        f"{path}: the file is not a SQLite database. Nothing was changed; use another one with --database"
    )
    assert path.read_bytes() == content
    assert [beside.name for beside in path.parent.iterdir()] == [path.name]


def test_a_damaged_store_is_reported_as_damaged(opened, path):
    opened(path).dispose()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    assert refusal(opened, path).startswith(f"{path}: the file is damaged. Restore a backup")


def test_a_store_with_a_damaged_name_in_its_schema_is_reported_as_damaged(opened, path):
    opened(path).dispose()
    content = path.read_bytes()
    assert b"CREATE TABLE chunks" in content
    path.write_bytes(content.replace(b"CREATE TABLE chunks", b"CREATE TABLX chunk\xb1"))
    assert "the file is damaged. Restore a backup" in refusal(opened, path)


def test_a_folder_is_refused(opened, tmp_path):
    assert refusal(opened, tmp_path) == f"{tmp_path}: this is a folder. Give the path of a file with --database PATH"


def test_a_device_file_is_refused(opened):
    assert refusal(opened, "/dev/null").startswith("/dev/null: this is not a regular file.")


def test_a_path_below_a_file_is_refused(opened, path):
    path.write_text("")
    assert refusal(opened, path / "inferometer.db").startswith(f"{path}/inferometer.db: it cannot be reached (Not a")


def test_a_name_too_long_for_the_disk_is_refused(opened, tmp_path):
    assert "(File name too long)" in refusal(opened, tmp_path / ("x" * 300))


def test_without_a_home_a_database_path_is_required(opened):
    assert "this user has no home folder for it. Give its path with --database" in refusal(opened, "")


@pytest.mark.parametrize("url", [":memory:", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_an_in_memory_database_is_refused(opened, url):
    assert "stores nothing. Give the path of a file" in refusal(opened, url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://var/lib/x.db", "An absolute path takes four: sqlite:////var/lib/x.db"),
        ("sqlite:/var/lib/x.db", "sqlite:...: this is not a database URL. Give a path, or a URL such as postgresql://"),
        ("sqlite:///x.db?mode=ro", "has no options here. If a ? belongs to the file's name, give the path without"),
        ("sqlite:///file:x.db?uri=true", "has no options here"),
        ("nonsense://", "a store is a SQLite file or a PostgreSQL database, not 'nonsense'. Give a path"),
        ("postgresql+nonsense://h/d", "there is no driver 'postgresql+nonsense'. Name another driver"),
        ("postgresql+asyncpg://h/d", "its driver is not installed"),
        ("mysql://h/d", "a store is a SQLite file or a PostgreSQL database, not 'mysql'"),
        ("mariadb+pymysql://h/d", "a store is a SQLite file or a PostgreSQL database, not 'mariadb+pymysql'"),
        ("oracle://h/d", "a store is a SQLite file or a PostgreSQL database, not 'oracle'"),
        ("postgresql+psycopg_async://h/d", "is asynchronous. Name another driver: postgresql+psycopg://"),
        ("x\0.db", "this is not a path"),
        ("~nobody-of-this-name/x.db", "this is not a path"),
    ],
)
def test_an_unusable_address_is_refused_with_a_remedy(opened, url, words):
    assert words in refusal(opened, url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host:port/db",
        "postgresql://me:pw@s3cret@host/db",
        "postgresql+nonsense://me:s3cret@host/db",
        "postgresql+nonsense://me@host/db?password=s3cret",
        "postgresql://me:s3cret@127.0.0.1:1/db?connect_timeout=2",
        "postgresql:/me:s3cret@host",
    ],
)
def test_no_error_shows_a_password(opened, url):
    with pytest.raises(StoreError) as refused:
        opened(url)
    error = refused.value
    assert "s3cret" not in f"{error} {error.__cause__}"


def test_an_absent_server_is_an_error_without_the_question_of_its_driver(opened):
    with pytest.raises(StoreError, match=r"failed: Connection refused\. Check the address, the user and"):
        opened("postgresql://me@127.0.0.1:1/db")


@pytest.mark.parametrize("name", ["a b", "a%20b", "50%", "what?", "why?x=1", "a#b", "ä:ö", "it's", "-x", "a;b", "x&y"])
def test_a_path_is_taken_as_it_is(opened, tmp_path, name):
    opened(tmp_path / f"{name}.db")
    assert f"{name}.db" in {made.name for made in tmp_path.iterdir()}


def test_relative_paths_links_and_homes_resolve_to_one_file(opened, path, tmp_path, monkeypatch):
    opened(path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ["inferometer.db", "sqlite:///inferometer.db", f"sqlite:///{path}", str(link), "~/inferometer.db"]
    assert {display(opened(name).url) for name in names} == {str(path)}


def test_a_bare_postgresql_url_gets_its_driver():
    assert display(parse("postgresql://me:pw@host/db")) == "postgresql+psycopg://me:***@host/db"
    assert display(parse("postgres://host/db")) == "postgresql+psycopg://host/db"


def test_a_new_store_is_inaccessible_to_others(opened, tmp_path):
    path = tmp_path / "new" / "inferometer.db"
    before = os.umask(0)
    try:
        Writer(opened(path)).register(Host("h", "n"), [], "test", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o640}


def test_reading_a_missing_database_creates_none(opened, path):
    with pytest.raises(
        MissingDatabaseError, match=r"inferometer\.db: there is no database here yet\. `inferometer profile` and `infer"
    ):
        opened(path, create=False)
    assert list(path.parent.iterdir()) == []


def test_a_read_only_folder_is_reported(opened_by_nobody, open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    assert opened_by_nobody(closed / "x.db") == (
        f"{closed}/x.db: it cannot be created (Permission denied). "
        f"Make {closed} writable for this user, or choose another place with --database PATH"
    )


def test_an_inaccessible_folder_is_reported_as_unreachable(opened_by_nobody, open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o000)
    said = opened_by_nobody(closed / "x.db")
    assert said.startswith(f"{closed}/x.db: it cannot be reached (Permission denied). Check the folders above")


@pytest.fixture
def stored(opened, open_folder):
    """A store in a folder that every user can write; a test with fewer permissions removes them."""
    path = open_folder / "inferometer.db"
    opened(path).dispose()  # no program has it open: there is no write-ahead log beside it
    open_folder.chmod(0o777)
    path.chmod(0o666)
    return path


def test_an_unreadable_store_is_reported(opened_by_nobody, stored):
    stored.chmod(0o000)
    said = opened_by_nobody(stored)
    assert said == (f"{stored}: this user cannot read it. Run as its owner, or use another one with --database")


def test_the_error_of_a_read_only_folder_states_why_it_matters(opened_by_nobody, stored):
    stored.parent.chmod(0o555)
    said = opened_by_nobody(stored)
    assert "this user cannot write its folder, and SQLite needs two files beside it" in said
    assert f"Make {stored.parent} writable" in said


def test_a_read_only_store_can_be_read_and_its_write_error_states_the_reason(run_child, opened_by_nobody, stored):
    stored.chmod(0o444)
    assert opened_by_nobody(stored) == "opened"
    said = run_child("append", stored, nobody=True)
    assert said.startswith(f"refused: {stored}: this user cannot write inferometer.db. Run as its owner")


def test_a_user_with_read_access_can_read_while_the_daemon_writes(run_child, start_child, stored):
    writer = start_child("append", stored)
    recording = int(writer.stdout.readline())
    writer.stdout.readline()
    stored.chmod(0o644)
    for beside in stored.parent.glob("*-*"):
        beside.chmod(0o644)
    stored.parent.chmod(0o555)
    assert int(run_child("read", stored, recording, nobody=True)) > 0


def test_a_store_deleted_while_open_is_reported_as_gone(opened, path):
    engine = opened(path)
    engine.dispose()
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(StoreError, match=r"inferometer\.db: it is gone\. Start again to create it"):
        Reader(engine).profiles()


def test_a_lock_held_by_another_program_is_an_error(opened, path):
    engine = opened(path, busy_seconds=0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = Writer(engine)
    with pytest.raises(StoreError) as refused:
        writer.register(Host("h", "n"), [], "test", 1)
    assert str(refused.value) == f"{path}: another program has locked it. Find it with: fuser {path}"
    other.close()
    writer.register(Host("h", "n"), [], "test", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
def test_a_read_only_file_system_is_reported(opened, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    try:
        opened(place / "inferometer.db").dispose()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        said = refusal(opened, place / "new.db")
        assert said.startswith(f"{place}/new.db: it cannot be created (Read-only file system). Make ")
        said = refusal(opened, place / "inferometer.db")
        assert said.startswith(f"{place}/inferometer.db: its file system is read-only. Mount ")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    ("state", "function", "kind"),
    [
        ("42501", "ExecWithCheckOptions", ForeignHostError),
        ("42501", "aclcheck_error", StoreError),
        ("22003", "int84", UnstorableError),
        ("54000", "index_form_tuple", UnstorableError),
        ("23505", "_bt_check_unique", TransientStoreError),
        ("53300", "InitProcess", TransientStoreError),
        ("57P01", "ProcessInterrupts", TransientStoreError),
        ("57P03", "ProcessStartupPacket", TransientStoreError),
        ("40P01", "DeadLockReport", TransientStoreError),
    ],
)
def test_an_error_of_a_server_is_classified_in_every_language(state, function, kind):
    error = Exception("Die neue Zeile wird nicht angenommen")
    error.sqlstate = state
    error.diag = SimpleNamespace(message_primary=str(error), source_function=function)
    with (
        pytest.raises(StoreError) as raised,
        translate_errors(create_engine("postgresql+psycopg://u@h/d")),
    ):
        raise DBAPIError("INSERT", (), error)
    assert type(raised.value) is kind
