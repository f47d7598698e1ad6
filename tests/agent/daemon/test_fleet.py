"""The service pushes new profiles in a process of its own, works through outages and reports each once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agent.config import FleetConfig, load
from agent.daemon.fleet import FleetPush
from agent.daemon.startup import _profile_ids
from command import ROOT
from daemons import configure, create_host, running
from fleet_documents import START_NS, document_of, measured, new_store
from store.database import open_database
from store.reader import Reader
from store.records import Run, RunStatus
from store.writer import Writer
from stored import store_of
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    engine = new_store(tmp_path / "inferometer.db")
    measured(engine, document_of("a"))
    yield engine
    engine.dispose()


@pytest.fixture
def pushing(engine: Engine, tmp_path: Path) -> Iterator[Callable[[FleetConfig], FleetPush]]:
    """Start the pushes of the store to a place, with short waits; they are stopped after the test."""
    started: list[FleetPush] = []

    def start(config: FleetConfig) -> FleetPush:
        def ids() -> frozenset[str]:
            return frozenset(key.id for key in Reader(engine).profile_keys())

        push = FleetPush(config, str(tmp_path / "inferometer.db"), ids, 0.01, 0.1)
        started.append(push)
        push.start()
        return push

    yield start
    for push in started:
        push.stop()


def test_a_new_profile_is_pushed_and_nothing_runs_without_one(
    engine: Engine, tmp_path: Path, pushing: Callable[[FleetConfig], FleetPush], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    folder = tmp_path / "fleet"
    folder.mkdir()
    pushing(FleetConfig(str(folder)))
    await_true(lambda: names(folder) == ["a-0.zip"])
    await_true(lambda: len(caplog.records) == 1)
    time.sleep(0.5)  # several checks, none of which starts a process
    measured(engine, document_of("a", 1))
    await_true(lambda: names(folder) == ["a-0.zip", "a-1.zip"])
    await_true(lambda: len(caplog.records) == 2)
    assert ["profiles pushed" in record.getMessage() for record in caplog.records] == [True, True]


def test_no_process_starts_while_the_host_is_measured(engine: Engine, tmp_path: Path) -> None:
    start_ns = START_NS + 10**9
    running = Run("run", "id-of-a", 1, "transformer", "{}", RunStatus.RUNNING, start_ns)
    Writer(engine).save_run(running)
    assert _profile_ids(engine, "id-of-a", start_ns + 1) is None
    assert _profile_ids(engine, "id-of-b", start_ns + 1) == {"a-0"}
    assert _profile_ids(engine, "id-of-a", start_ns + 43_200 * 10**9) == {"a-0"}  # a run that was killed
    push = FleetPush(FleetConfig(str(tmp_path)), str(tmp_path / "inferometer.db"), lambda: None, 0.0, 0.01)
    push.start()
    time.sleep(0.2)
    push.stop()
    assert push._pushed is None
    assert not list(tmp_path.glob("*.zip"))


def test_an_outage_is_logged_once_and_its_end_as_well(
    tmp_path: Path, pushing: Callable[[FleetConfig], FleetPush], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    folder = tmp_path / "fleet"
    push = pushing(FleetConfig(str(folder)))
    await_true(lambda: push._failures > 1)
    folder.mkdir()
    await_true(lambda: any("profiles are pushed again" in record.getMessage() for record in caplog.records))
    assert names(folder) == ["a-0.zip"]
    messages = [record.getMessage() for record in caplog.records]
    assert sum("profiles are not pushed: trying again" in message for message in messages) == 1


def test_the_configuration_can_anonymize(tmp_path: Path, pushing: Callable[[FleetConfig], FleetPush]) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    pushing(FleetConfig(str(folder), anonymize=True))
    await_true(lambda: [name[:10] for name in names(folder) if not name.startswith(".")] == ["anonymous-"])


def test_a_stop_ends_the_process_at_once(
    pushing: Callable[[FleetConfig], FleetPush], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    push = pushing(FleetConfig("postgresql://u@127.0.0.1:1/fleet"))  # which is refused, and tried again for 20 s
    await_true(lambda: push._process is not None)
    push.stop()
    assert not push._thread.is_alive()


def test_the_daemon_pushes_the_profiles_of_its_store(tmp_path: Path) -> None:
    home, folder = create_host(tmp_path), tmp_path / "fleet"
    folder.mkdir()
    configure(home, exporter=f'[fleet]\nto = "{folder}"')
    engine = open_database(str(store_of(home)))
    measured(engine, document_of("a"))
    engine.dispose()
    with running(home) as daemon:
        daemon.await_log("profiles pushed")
        assert names(folder) == ["a-0.zip"]
        assert daemon.end() == 0


@pytest.mark.parametrize("place", ["fleet", "postgresql://u:p@db/fleet", "mysql://db/fleet", "postgresql://db/a b"])
def test_a_place_with_a_password_or_without_a_root_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[fleet]\nto = "{place}"\n')
    with pytest.raises(Exception, match=r"fleet\.to = .* is not postgresql://USER@HOST/DATABASE without a password"):
        load(file)


@pytest.mark.parametrize("place", ["/mnt/fleet", "postgresql://u@[::1]:5433/fleet?sslrootcert=/a", "postgresql:///f"])
def test_a_url_and_a_path_are_places(tmp_path: Path, place: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[fleet]\nto = "{place}"\npassword_file = "/etc/inferometer/fleet"\n')
    assert load(file).fleet == FleetConfig(place, "/etc/inferometer/fleet")
