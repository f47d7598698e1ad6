"""The service pushes new profiles in a process of its own, works through outages and reports each once."""

from __future__ import annotations

import os
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from agent.bundles.archive import read_bundle
from agent.bundles.importing import store_bundle
from agent.bundles.writing import bundle_bytes
from agent.config import ConfigError, FleetConfig, load
from agent.daemon.fleet import FleetPush, _Pace
from agent.daemon.startup import _is_measured, _own_profiles
from agent.runtime.measuring import announced
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
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from agent.daemon.fleet import _Result
    from agent.fleet.place import Place


def names(folder: Path) -> list[str]:
    """Return the names of the files, without those that a process is writing."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def usual_priority(folder: Path) -> str:
    """Return a PYTHONPATH of processes that keep their priority: the lowest one has no CPU on a busy machine."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import os\nos.setpriority = lambda *_: None\n")
    return f"{folder}{os.pathsep}{ROOT}"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("PYTHONPATH", usual_priority(tmp_path / "site"))
    engine = new_store(tmp_path / "inferometer.db")
    measured(engine, document_of("a"))
    yield engine
    engine.dispose()


class Counted(FleetPush):
    """Counts its processes, and the questions for a measurement."""

    def __init__(self, config: FleetConfig, engine: Engine, measured: threading.Event) -> None:
        self.processes = self.questions = 0

        def uids() -> frozenset[str]:
            return frozenset(key.id for key in Reader(engine).profile_keys())

        def is_measured() -> bool:
            self.questions += 1
            return measured.is_set()

        super().__init__(config, str(engine.url.database), uids, is_measured, 0.0, 0.01, 0.1, 0.2)

    def _run_process(self, uids: Collection[str]) -> _Result | None:
        self.processes += 1
        return super()._run_process(uids)


@pytest.fixture
def host_is_measured() -> threading.Event:
    """Set while the host is measured."""
    return threading.Event()


@pytest.fixture
def pushing(engine: Engine, host_is_measured: threading.Event) -> Iterator[Callable[[FleetConfig], Counted]]:
    """Start the pushes of the store to a place, with short waits; they are stopped after the test."""
    started: list[Counted] = []

    def start(config: FleetConfig) -> Counted:
        started.append(Counted(config, engine, host_is_measured))
        started[-1].start()
        return started[-1]

    yield start
    for push in started:
        push.stop()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The URL of a database that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/fleet"


def test_a_new_profile_is_pushed_and_nothing_runs_without_one(
    engine: Engine, tmp_path: Path, pushing: Callable[[FleetConfig], Counted], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    folder = tmp_path / "fleet"
    folder.mkdir()
    push = pushing(FleetConfig(str(folder)))
    await_true(lambda: names(folder) == ["a-0.zip"])
    await_true(lambda: len(caplog.records) == 1)
    questions = push.questions
    await_true(lambda: push.questions > questions + 3)  # several checks, none of which starts a process
    assert push.processes == 1
    measured(engine, document_of("a", 1))
    await_true(lambda: names(folder) == ["a-0.zip", "a-1.zip"])
    await_true(lambda: len(caplog.records) == 2)
    assert push.processes == 2
    assert ["profiles pushed" in record.getMessage() for record in caplog.records] == [True, True]


def test_no_process_starts_until_the_end_of_a_measurement(
    tmp_path: Path, pushing: Callable[[FleetConfig], Counted], host_is_measured: threading.Event
) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    host_is_measured.set()
    push = pushing(FleetConfig(str(folder)))
    await_true(lambda: push.questions > 3)
    assert (push.processes, names(folder)) == (0, [])
    host_is_measured.clear()
    await_true(lambda: names(folder) == ["a-0.zip"])


def test_a_measurement_that_begins_ends_the_process_which_is_no_failure(
    silent_server: str,
    pushing: Callable[[FleetConfig], Counted],
    host_is_measured: threading.Event,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    push = pushing(FleetConfig(silent_server))
    await_true(lambda: push._process is not None)
    process = push._process
    assert process is not None
    await_true(lambda: process.poll() is not None or os.getpriority(os.PRIO_PROCESS, process.pid) == 19)
    assert process.poll() is None
    host_is_measured.set()
    await_true(lambda: push._process is None)
    assert process.returncode != 0
    assert (push._failures, caplog.records) == (0, [])
    questions = push.questions
    await_true(lambda: push.questions > questions + 3)
    assert push.processes == 1


def test_a_host_is_measured_if_a_process_announces_it_or_a_run_of_it_goes_on(engine: Engine, tmp_path: Path) -> None:
    start_ns, sysfs = START_NS + 10**9, str(tmp_path)
    assert not _is_measured(sysfs, engine, "id-of-a", start_ns)
    with announced(sysfs):
        assert _is_measured(sysfs, engine, "id-of-a", start_ns)
    Writer(engine).save_run(Run("run", "id-of-a", 1, "transformer", "{}", RunStatus.RUNNING, start_ns))
    assert _is_measured(sysfs, engine, "id-of-a", start_ns + 1)
    assert not _is_measured(sysfs, engine, "id-of-b", start_ns + 1)
    assert not _is_measured(sysfs, engine, "id-of-a", start_ns + 43_200 * 10**9)  # a run that was killed


def test_imported_profiles_start_no_process(engine: Engine) -> None:
    bundle = read_bundle(bundle_bytes(document_of("b"), None, None))
    assert store_bundle(bundle, engine)
    assert {key.id for key in Reader(engine).profile_keys()} == {"a-0", "b-0"}
    assert _own_profiles(engine, "id-of-a") == {"a-0"}


def test_a_refused_profile_is_logged_once_and_pushed_when_its_cause_has_ended(
    engine: Engine, tmp_path: Path, pushing: Callable[[FleetConfig], Counted], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="inferometer")
    folder = tmp_path / "fleet"
    (folder / "a-0.zip").mkdir(parents=True)
    measured(engine, document_of("a", 1))
    push = pushing(FleetConfig(str(folder)))
    await_true(lambda: push.processes > 2)
    assert names(folder) == ["a-0.zip", "a-1.zip"]
    refused = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(refused) == 1
    (folder / "a-0.zip").rmdir()
    await_true((folder / "a-0.zip").is_file)


def test_an_outage_is_logged_once_and_its_end_as_well(
    tmp_path: Path, pushing: Callable[[FleetConfig], Counted], caplog: pytest.LogCaptureFixture
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


def test_the_configuration_can_anonymize(tmp_path: Path, pushing: Callable[[FleetConfig], Counted]) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    pushing(FleetConfig(str(folder), anonymize=True))
    await_true(lambda: [name[:10] for name in names(folder)] == ["anonymous-"])


def test_a_stop_ends_the_process_at_once(silent_server: str, pushing: Callable[[FleetConfig], Counted]) -> None:
    push = pushing(FleetConfig(silent_server))
    await_true(lambda: push._process is not None)
    push.stop()
    push._thread.join(10)
    assert not push._thread.is_alive()


class Closed:
    """A place that counts how often its connections were released."""

    times = 0

    def close(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("share", "left", "passed_seconds", "pauses"),
    [(0.0, 5, 12.0, []), (0.5, 5, 21.0, []), (0.5, 0, 12.0, []), (0.5, 5, 12.0, [8.0])],
)
def test_a_push_pauses_for_the_cpu_budget_without_a_connection(
    monkeypatch: pytest.MonkeyPatch, share: float, left: int, passed_seconds: float, pauses: list[float]
) -> None:
    slept: list[float] = []
    now = iter((100.0, 100.0 + passed_seconds))
    clock = SimpleNamespace(monotonic=lambda: next(now), process_time=lambda: 10.0, sleep=slept.append)
    monkeypatch.setattr("agent.daemon.fleet.time", clock)
    place = Closed()
    _Pace(share, cast("Place", place))(1, left)
    assert slept == pauses
    assert place.times == len(pauses)


def test_the_daemon_pushes_the_profiles_of_its_store(tmp_path: Path) -> None:
    home, folder = create_host(tmp_path), tmp_path / "fleet"
    folder.mkdir()
    configure(home, exporter=f'[fleet]\nto = "{folder}"')
    engine = open_database(str(store_of(home)))
    measured(engine, document_of("a"))
    engine.dispose()
    with running(home, PYTHONPATH=usual_priority(tmp_path / "site")) as daemon:
        daemon.await_log("profiles pushed")
        assert names(folder) == ["a-0.zip"]
        assert daemon.end() == 0


@pytest.mark.parametrize(
    "place",
    [
        *("fleet", "mysql://db/fleet", "mysql://u:s3cret@db/fleet", "postgresql://db/a b"),
        *("postgresql://u:s3cret@db/fleet", "postgresql://u:s3/cret@db/fleet", "postgresql://u@db/f?password=s3cret"),
        *("postgresql://u@db/f?a=b&sslpassword=s3cret", "postgresql://u@db/f?oauth_client_secret=s3cret"),
    ],
)
def test_a_place_with_a_password_or_without_a_root_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[fleet]\nto = "{place}"\n')
    with pytest.raises(
        ConfigError, match=r"fleet\.to = .* is not postgresql://USER@HOST/DATABASE without a password"
    ) as refused:
        load(file)
    assert "cret" not in str(refused.value).replace("client_secret", "")


@pytest.mark.parametrize(
    "place", ["/mnt/fleet", "postgresql://u@[::1]:5433/fleet?sslrootcert=/a", "postgresql:///f?passfile=/a"]
)
def test_a_url_and_a_path_are_places(tmp_path: Path, place: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[fleet]\nto = "{place}"\npassword_file = "/etc/inferometer/fleet"\n')
    assert load(file).fleet == FleetConfig(place, "/etc/inferometer/fleet")
