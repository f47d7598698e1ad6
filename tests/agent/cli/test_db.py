"""`inferometer db`: status, compaction, pruning, checks, upgrade and copies of the store."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from command import ROOT, call, run
from daemons import create_host, running
from store.schema import REVISION
from store.series_query import PARTITION_NS
from stored import SECOND_NS, record, store_of

if TYPE_CHECKING:
    from pathlib import Path

DAY_NS = 86_400 * SECOND_NS


def answer(home: Path, *words: object) -> dict[str, object]:
    done = call(home, "db", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store with a thousand reads of two probes ten days ago and ten reads now, in one time partition."""
    within_ns = (time.time_ns() + 5 * SECOND_NS) % PARTITION_NS
    if within_ns < 6 * SECOND_NS:  # the time partition is about to end or has just begun
        time.sleep((6 * SECOND_NS - within_ns) / SECOND_NS)
    began_ns = time.time_ns() // DAY_NS * DAY_NS
    record(tmp_path, [began_ns - 10 * DAY_NS + n * SECOND_NS for n in range(1000)])
    record(tmp_path, [time.time_ns() // 1000 * 1000 - (10 - n) * 1_000_000 for n in range(10)])
    return tmp_path


def test_status_reports_size_and_contents_of_the_store(home: Path) -> None:
    found = answer(home, "status")
    assert (found["recordings"], found["hot_ticks"], found["chunks"], found["runs"]) == (2, 2020, 0, 0)
    assert found["path"] == str(store_of(home))
    assert str(found["oldest"]) < str(found["newest"])
    shown = call(home, "db", "status").stdout
    assert str(store_of(home)) in shown
    assert "2,020 rows, 0 chunks" in shown


def test_compact_turns_old_rows_into_chunks_and_loses_no_sample(home: Path) -> None:
    before = answer(home, "status")
    done = answer(home, "compact")
    after = answer(home, "status")
    assert done["ticks"] == 2000
    assert (after["hot_ticks"], after["waiting_ticks"], after["chunks"]) == (20, 0, done["chunks"])
    samples = call(home, "samples", "--since", "11d").stdout
    exported = len(samples.splitlines()) - 1  # without the rejected readings
    assert exported == after["samples"] - 1 == before["samples"] - 101
    assert call(home, "db", "compact").stdout == "nothing to compact\n"


def test_a_dry_run_predicts_the_result_of_a_prune(home: Path) -> None:
    answer(home, "compact")
    before = answer(home, "status")
    would = answer(home, "prune", "--older-than", "5d", "--rollups-older-than", "5d", "--dry-run")
    assert answer(home, "status") == before
    did = answer(home, "prune", "--older-than", "5d", "--rollups-older-than", "5d")
    assert (would["dry_run"], did["dry_run"]) == (True, False)
    counted = ("ticks", "chunks", "rejections", "rollups")
    assert [would[name] for name in counted] == [did[name] for name in counted]
    assert did["chunks"] > 0
    assert did["rejections"] == 100
    assert answer(home, "status")["samples"] == before["hot_ticks"] // 2 * 3


def test_a_store_that_is_too_large_loses_its_oldest_samples_but_no_recent_ones(home: Path) -> None:
    would = answer(home, "prune", "--larger-than", "1kB", "--dry-run")
    assert (would["ticks"], would["too_large"]) == (2000, True)  # the empty tables alone are larger
    done = call(home, "db", "prune", "--larger-than", "1kB")
    assert "removed: 2,000 rows" in done.stdout
    assert "the store is still larger than the limit" in done.stderr


def test_a_size_limit_above_the_size_removes_nothing(home: Path) -> None:
    for how in ((), ("--dry-run",)):
        assert answer(home, "prune", "--larger-than", "1GiB", *how)["ticks"] == 0


def test_a_prune_without_options_prints_the_plan_of_the_configuration_and_asks_for_yes(home: Path) -> None:
    (home / "config.toml").write_text("[retention]\nraw_days = 2\n")
    configured = ("--config", home / "config.toml")
    before = answer(home, "status")
    asked = call(home, "db", "prune", *configured)
    assert asked.returncode == 2
    assert asked.stdout.startswith("would be removed: 2,000 rows")
    assert "nothing was removed" in asked.stderr
    assert "--yes" in asked.stderr
    as_json = call(home, "db", "prune", *configured, "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)["dry_run"]) == (2, True)
    assert answer(home, "prune", *configured, "--dry-run")["ticks"] == 2000
    assert answer(home, "status") == before
    assert answer(home, "prune", *configured, "--yes")["ticks"] == 2000


def test_a_prune_with_yes_follows_the_configuration(home: Path) -> None:
    assert answer(home, "prune", "--yes")["ticks"] == 0  # the default limit is 30 days
    (home / "config.toml").write_text("[retention]\nraw_days = 0\nrollup_days = 0\n")
    done = call(home, "db", "prune", "--yes", "--config", home / "config.toml")
    assert done.returncode == 2
    assert "give --older-than or --larger-than, or set [retention]" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--older-than", "30", "is not a duration"), ("--larger-than", "2 gigs", "is not a size")],
)
def test_an_invalid_age_or_size_ends_with_2(home: Path, option: str, value: str, words: str) -> None:
    done = call(home, "db", "prune", option, value)
    assert done.returncode == 2
    assert words in done.stderr


def test_check_reports_that_an_undamaged_store_is_sound(home: Path) -> None:
    answer(home, "compact")
    done = call(home, "db", "check")
    assert (done.returncode, done.stdout) == (0, "sound\n")
    assert answer(home, "check") == {"sound": True, "problems": []}


def test_check_names_the_damage_and_ends_with_1_and_a_repair_moves_it_to_quarantine(home: Path) -> None:
    answer(home, "compact")
    with closing(sqlite3.connect(store_of(home))) as connection, connection:
        connection.execute("UPDATE chunks SET packed = x'00' WHERE id = 1")
        connection.execute("UPDATE ticks SET readings = x'0102' WHERE id = (SELECT max(id) FROM ticks)")
        connection.execute("UPDATE hosts SET cores = cores + 1")
    done = call(home, "db", "check", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert not found["sound"]
    assert [each["table"] for each in found["problems"]] == ["hosts", "ticks", "chunks"]
    assert call(home, "db", "check").returncode == 1
    repaired = call(home, "db", "check", "--repair")
    assert repaired.returncode == 1  # the recordings refer to the host
    assert "Chunk 1: its checksum is wrong (moved to quarantine)" in repaired.stdout
    assert [line for line in repaired.stdout.splitlines() if line.startswith("Host")] == [
        "Host host: its checksum is wrong"
    ]
    with closing(sqlite3.connect(store_of(home))) as connection:
        moved = dict(connection.execute("SELECT table_name, content FROM quarantine"))
        assert json.loads(moved["chunks"])["packed"] == {"hex": "00"}
        assert json.loads(moved["ticks"])["readings"] == {"hex": "0102"}
    record(home, [time.time_ns() // 1000 * 1000])  # a program that samples here writes the host again
    assert call(home, "db", "check").stdout == "sound\n"


def test_samples_leaves_damaged_rows_out_and_ends_with_1(home: Path) -> None:
    sound = call(home, "samples", "--since", "11d").stdout.splitlines()
    with closing(sqlite3.connect(store_of(home))) as connection, connection:
        connection.execute("UPDATE ticks SET readings = zeroblob(8) WHERE id = 1")
    done = call(home, "samples", "--since", "11d")
    assert done.returncode == 1
    assert "warning: Row 1: its checksum is wrong; it is left out" in done.stderr
    assert "1 damaged rows were left out" in done.stderr
    [missing] = set(sound) - set(done.stdout.splitlines())
    assert "package-0,package,energy_joules,measured,100.0,joules" in missing


def test_compact_skips_a_damaged_row_and_continues(home: Path) -> None:
    with closing(sqlite3.connect(store_of(home))) as connection, connection:
        connection.execute("UPDATE ticks SET readings = x'0102' WHERE id = 1")
    done = call(home, "db", "compact", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["ticks"], found["damaged"]) == (1999, ["Row 1: its checksum is wrong"])
    assert "warning: Row 1: its checksum is wrong; it is not changed" in done.stderr


def test_a_copy_has_the_same_contents_and_replaces_no_file(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    done = answer(home, "backup", copy)
    assert done == {"file": str(copy), "bytes": copy.stat().st_size}
    assert answer(home, "status", "--database", copy)["samples"] == answer(home, "status")["samples"]
    again = call(home, "db", "backup", copy)
    assert again.returncode == 2
    assert "a file or folder of this name exists" in again.stderr


def test_a_copy_into_a_folder_is_named_after_the_store_and_the_time(home: Path, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    place.mkdir()
    done = answer(home, "backup", place)
    [copy] = place.iterdir()
    assert done["file"] == str(copy)
    assert re.fullmatch(r"inferometer-\d{8}T\d{6}Z\.db", copy.name)


def test_a_damaged_store_is_not_copied_unless_forced(home: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store_of(home))) as connection, connection:
        connection.execute("UPDATE ticks SET readings = x'0102' WHERE id = 1")
    done = call(home, "db", "backup", tmp_path / "copy.db")
    assert done.returncode == 1
    assert "it is damaged, nothing was copied (Row 1: its checksum is wrong)" in done.stderr
    assert not (tmp_path / "copy.db").exists()
    assert answer(home, "backup", "--force", tmp_path / "copy.db")["bytes"] > 0


def test_a_copy_to_a_missing_folder_is_refused_before_the_store_is_read(home: Path, tmp_path: Path) -> None:
    done = call(home, "db", "backup", tmp_path / "nowhere/copy.db")
    assert done.returncode == 2
    assert "copy.db: its folder cannot be used (No such file or directory)" in done.stderr
    assert "reading every row" not in done.stderr


def test_a_rewritten_file_can_shrink(home: Path) -> None:
    answer(home, "prune", "--older-than", "1d")
    assert answer(home, "compact", "--vacuum")["chunks"] == 0
    assert answer(home, "check")["sound"]
    assert answer(home, "status")["hot_ticks"] == 20


@pytest.mark.parametrize("words", [["status"], ["compact"], ["prune"], ["check"], ["backup", "copy.db"]])
def test_each_command_reports_a_missing_store_and_creates_none(tmp_path: Path, words: list[str]) -> None:
    done = call(tmp_path, "db", *words)
    assert done.returncode == 1
    assert "there is no database here yet" in done.stderr
    assert not store_of(tmp_path).exists()


def test_upgrade_upgrades_an_older_store_and_leaves_a_copy(tmp_path: Path) -> None:
    missing = call(tmp_path, "db", "upgrade", "--json")
    assert (missing.returncode, json.loads(missing.stdout)["before"]) == (0, None)
    assert "there is no database to upgrade" in missing.stderr
    assert not store_of(tmp_path).exists()
    store_of(tmp_path).parent.mkdir(parents=True)
    with closing(sqlite3.connect(store_of(tmp_path))) as connection:
        connection.executescript((ROOT / "tests/fixtures/store/0001.sql").read_text())
    done = run(tmp_path, "db", "upgrade", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["before"], found["after"]) == ("0001", REVISION)
    assert "copying the database to" in done.stderr
    with closing(sqlite3.connect(found["copy"])) as connection:
        assert connection.execute("SELECT count(*) FROM ticks").fetchone() == (2,)
    assert f"up to date (schema {REVISION})" in call(tmp_path, "db", "upgrade").stdout


def test_upgrade_ends_with_1_if_the_store_is_of_a_newer_version(home: Path) -> None:
    with closing(sqlite3.connect(store_of(home))) as connection, connection:
        connection.execute("UPDATE inferometer_version SET version_num = '9999'")
    done = call(home, "db", "upgrade")
    assert done.returncode == 1
    assert "Upgrade inferometer, or use another database" in done.stderr


def test_each_command_works_while_the_daemon_runs(tmp_path: Path) -> None:
    with running(create_host(tmp_path)) as daemon:
        for words in (["status"], ["compact"], ["prune", "--yes"], ["check"], ["backup", tmp_path / "copy.db"]):
            answer(tmp_path, *words)
        stored = daemon.ticks()
        assert daemon.logged("samples wait") == []
        assert daemon.end() == 0
    assert daemon.ticks() >= stored


@pytest.mark.parametrize("words", [("db", "upgrade"), ("db", "status"), ("profiles", "list")])
def test_an_upgrade_that_a_signal_ends_removes_its_copy(tmp_path: Path, words: tuple[str, ...]) -> None:
    database = tmp_path / "inferometer.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript((ROOT / "tests/fixtures/store/0002.sql").read_text(encoding="utf-8"))
    program = """
import os, signal, store.upgrade
store.upgrade._migrate = lambda _: os.kill(os.getpid(), signal.SIGTERM)
from agent.cli import entry
entry.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "--database", str(database), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "terminated" in done.stderr) == (143, True), done.stderr
    assert not list(tmp_path.glob("*.schema-*"))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT version_num FROM inferometer_version").fetchone() == ("0002",)
