"""Meters that do not answer at the start of the service, and later do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from agent.config import Config
from agent.daemon import absent_meters
from agent.daemon.absent_meters import FIRST_SECONDS, LONGEST_SECONDS, AbsentMeters
from daemons import configure, create_host, free_address, running
from meters import meter
from plug_server import SHELLY_1, first_status, plug
from probes.model import Roots
from probes.plugs import discover
from probes.registry import answering_meters
from waiting import await_true

if TYPE_CHECKING:
    from probes.settings import SensorSettings

FIRST_PAGES = {"/shelly": SHELLY_1, "/status": first_status()}
OPEN_FILES = Path("/proc/self/fd")


def config(*urls: str) -> Config:
    meters = tuple(meter("shelly", url, name=f"plug-{number}") for number, url in enumerate(urls))
    return Config(meters=meters)


def test_the_service_reads_a_meter_that_answers_after_its_start(tmp_path: Path) -> None:
    create_host(tmp_path)
    address = free_address()
    configure(tmp_path, f'[[meters]]\nname = "desk"\nkind = "shelly"\nurl = "http://{address}"')
    (tmp_path / "sitecustomize.py").write_text("import agent.daemon.absent_meters as m\nm.FIRST_SECONDS = 0.2\n")
    with running(tmp_path, PYTHONPATH=str(tmp_path), WATCHDOG_USEC="1000000") as daemon:
        daemon.await_log("meter-desk (http:")
        assert daemon.metric("inferometer_power_watts", device="meter-desk") is None
        with plug(FIRST_PAGES, port=int(address.rpartition(":")[2])):
            daemon.await_log("a meter answers: a new discovery begins")
            await_true(lambda: daemon.metric("inferometer_power_watts", device="meter-desk") == 38.4)


def test_an_attempt_does_not_wait_and_its_meter_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, released = [0.0], Event()

    def answering(_roots: Roots, settings: SensorSettings) -> tuple[str, ...]:
        released.wait(30)
        return tuple(f"meter-{each.name}" for each in settings.meters)

    monkeypatch.setattr(absent_meters, "answering_meters", answering)
    absent = AbsentMeters(lambda: seconds[0])
    absent.watch(config("http://a"), ())
    assert not absent.answer()
    seconds[0] = FIRST_SECONDS
    assert not absent.answer()
    released.set()
    await_true(absent.answer)
    assert not absent.answer()


def test_the_waits_of_a_meter_that_answers_and_fails_double_over_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, waits = [0.0], []
    monkeypatch.setattr(absent_meters, "answering_meters", lambda _, _settings: ("meter-plug-0",))
    absent = AbsentMeters(lambda: seconds[0])
    began = 0.0
    for _ in range(6):
        absent.watch(config("http://a"), ())
        while not absent.answer():
            if attempt := absent._attempt:
                await_true(lambda attempt=attempt: attempt.has_ended)
            else:
                seconds[0] += 10
        waits.append(seconds[0] - began)
        began = seconds[0]
    assert waits == [60, 120, 240, 480, LONGEST_SECONDS, LONGEST_SECONDS]


def test_a_service_whose_meters_all_answer_tries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_meters, "answering_meters", lambda *_: pytest.fail("tried"))
    with plug(FIRST_PAGES) as state:
        present = config(state.url)
        (probe,) = discover(Roots(), present.sensors).probes
        with closing(probe):
            absent = AbsentMeters(lambda: 1e9)
            absent.watch(present, probe.channels)
            assert not absent.answer()


def test_only_the_meters_that_answer_are_named_and_nothing_stays_open() -> None:
    with plug(FIRST_PAGES) as state:
        settings = config(state.url, f"http://{free_address()}").sensors
        before = len([*OPEN_FILES.iterdir()])
        assert answering_meters(Roots(), settings) == ("meter-plug-0",)
        await_true(lambda: len([*OPEN_FILES.iterdir()]) <= before)
