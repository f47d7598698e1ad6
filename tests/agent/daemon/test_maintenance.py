"""The maintenance of the daemon's store: its interval, its results, and its errors."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from agent.config import RetentionConfig
from agent.daemon.maintenance import Maintenance, MaintenanceResult, interval_seconds, main, retention_of
from command import ROOT
from probes.model import Channel, Device, Kind
from store.database import open_database
from store.maintenance.retention import Retention
from store.maintenance.status import StoreStatus, status
from store.records import Host, Layout, Tick
from store.writer import Writer
from stored import prepared
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

CHANNEL = Channel(Device("package-0", Kind.CPU), "package", "power_watts")
HOUR_NS = 3600 * 10**9


def layouts(*channels: int) -> list[Layout]:
    return [Layout(number, "probe", (CHANNEL,) * count) for number, count in enumerate(channels)]


@pytest.mark.parametrize(
    ("channels", "periods", "seconds"),
    [
        ((), (), 3600),
        ((50,), (1.0,), 3600),
        ((25, 25), (0.1, 0.1), 2000),
        ((50,), (0.01,), 300),
        ((10,), (60.0,), 3600),
    ],
)
def test_the_maintenance_interval_grows_as_the_sample_rate_falls(
    channels: tuple[int, ...], periods: tuple[float, ...], seconds: float
) -> None:
    assert interval_seconds(layouts(*channels), periods) == seconds


def test_no_limit_in_the_configuration_is_none_in_the_store() -> None:
    assert retention_of(RetentionConfig(0, 0, 0)) == Retention(None, None, None)
    assert retention_of(RetentionConfig(1, 2, 0.5)) == Retention(86400, 2, 43200)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with ten ticks from two hours ago, and ten from now."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    engine = open_database(str(prepared(tmp_path / "inferometer.db")))
    writer = Writer(engine)
    now_ns = time.time_ns() // 1000 * 1000
    (layout,) = writer.register(Host("host", "name"), [("probe", (CHANNEL,))], "daemon", now_ns - 2 * HOUR_NS)
    moments = [start_ns + step * 10**6 for start_ns in (now_ns - 2 * HOUR_NS, now_ns) for step in range(10)]
    writer.append([Tick(layout.id, at_ns, at_ns, (50.0,)) for at_ns in moments])
    engine.dispose()
    return tmp_path / "inferometer.db"


def stands(database: Path) -> StoreStatus:
    engine = open_database(str(database))
    try:
        return status(engine)
    finally:
        engine.dispose()


def test_it_compacts_old_samples_and_not_new_ones(database: Path) -> None:
    maintenance = Maintenance(str(database), RetentionConfig(), 3600, first_seconds=0)
    maintenance.start()
    await_true(lambda: stands(database).hot_ticks == 10)
    maintenance.stop()
    assert stands(database).samples == 20


def test_it_prunes_as_configured(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    maintenance = Maintenance(str(database), RetentionConfig(raw_days=1 / 24), 3600, first_seconds=0, prune_seconds=0)
    maintenance.start()
    await_true(lambda: stands(database).samples == 10)
    maintenance.stop()
    assert caplog.records == []


def test_an_unexpected_error_of_compaction_is_reported_and_does_not_prevent_pruning(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("a row of the wrong type")

    monkeypatch.setattr("store.maintenance.compaction.compact", fail)
    monkeypatch.setattr("os.nice", lambda _: None)
    monkeypatch.setenv("INFEROMETER_DATABASE", str(database))
    assert main(["0.04", "0", "0"]) == 0
    assert "compaction failed (TypeError('a row of the wrong type')); find the damage" in capsys.readouterr().out
    assert stands(database).samples == 10


def test_a_store_that_stays_too_large_and_the_end_of_that_are_each_logged_once(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    maintenance = Maintenance(str(database), RetentionConfig(raw_bytes=2_000_000), 3600)
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE large AS SELECT zeroblob(3000000)")
        other.commit()
        assert all(
            [
                maintenance._run_once(prunes=True),
                maintenance._run_once(prunes=True),
                maintenance._run_once(prunes=False),
            ]
        )
        (record,) = caplog.records
        assert record.getMessage() == "the store stays larger than retention.raw_bytes"
        assert record.pairs["reason"].endswith("newer than two hours, part of a stored run, or not samples")
        other.execute("DROP TABLE large")
        other.commit()
    assert maintenance._run_once(prunes=True)
    assert [record.getMessage() for record in caplog.records[1:]] == ["the store is within retention.raw_bytes again"]
    assert stands(database).samples == 10


def test_a_failure_is_logged_once_and_retried(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="inferometer")
    away = database.with_name("away.db")
    database.rename(away)
    maintenance = Maintenance(str(database), RetentionConfig(), 0.01, first_seconds=0)
    maintenance.start()
    await_true(lambda: caplog.records)
    away.rename(database)
    await_true(lambda: len(caplog.records) > 1)
    maintenance.stop()
    failed, mended = caplog.records[:2]
    assert failed.getMessage() == "maintenance of the store failed: retrying"
    assert "there is no database here yet" in failed.pairs["reason"]
    assert mended.getMessage() == "maintenance of the store works again"


def damage(database: Path) -> None:
    """Make a row of two hours ago unreadable."""
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE ticks SET readings = x'0102' WHERE id = 1")


def test_a_damaged_row_stops_neither_compaction_nor_pruning_and_is_logged_once(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(database)
    maintenance = Maintenance(str(database), RetentionConfig(), 3600)
    assert maintenance._run_once(prunes=False)
    assert maintenance._run_once(prunes=False)
    found = stands(database)
    assert (found.chunks, found.hot_ticks) == (1, 11)
    (record,) = caplog.records
    assert record.getMessage() == "damaged rows are not compacted"
    assert record.pairs["rows"] == 1
    assert record.pairs["first"] == "Row 1: its checksum is wrong"
    assert Maintenance(str(database), RetentionConfig(raw_days=1 / 24), 3600)._run_once(prunes=True)
    assert stands(database).samples == 10


def test_pruning_follows_a_failed_compaction(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("CREATE TRIGGER broken BEFORE INSERT ON chunks BEGIN SELECT RAISE(ABORT, 'no chunks'); END")
    maintenance = Maintenance(str(database), RetentionConfig(raw_days=1 / 24), 3600)
    assert not maintenance._run_once(prunes=True)
    assert "no chunks" in maintenance._last_reason
    assert stands(database).samples == 10


def test_a_stop_during_the_start_of_the_process_leaves_no_process(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopped, processes = threading.Event(), threading.Event(), []

    def slow(*_words: Any, **options: Any) -> subprocess.Popen[str]:
        processes.append(popen([sys.executable, "-c", "import time; time.sleep(600)"], **options))
        started.set()
        stopped.wait(1)  # the process runs, but is not yet recorded
        return processes[0]

    popen = subprocess.Popen
    monkeypatch.setattr("agent.daemon.maintenance.subprocess.Popen", slow)
    maintenance = Maintenance(str(database), RetentionConfig(), 3600, first_seconds=0)
    maintenance.start()
    assert started.wait(60)
    maintenance.stop()
    stopped.set()
    assert processes[0].wait(60) == -signal.SIGTERM
    maintenance._thread.join(60)
    assert not maintenance._thread.is_alive()


def test_after_a_stop_no_process_is_started(database: Path) -> None:
    maintenance = Maintenance(str(database), RetentionConfig(), 3600)
    maintenance.start()
    maintenance.stop()
    assert maintenance._run_process(prunes=False) == MaintenanceResult()
    assert stands(database).chunks == 0


def test_a_stop_ends_a_running_maintenance_silently(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    maintenance = Maintenance(str(database), RetentionConfig(), 0.01, first_seconds=0)
    maintenance.start()
    await_true(lambda: maintenance._process is not None)
    maintenance.stop()
    maintenance._thread.join(60)
    assert not maintenance._thread.is_alive()
    assert caplog.records == []
