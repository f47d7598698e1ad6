from __future__ import annotations

import os
import re
import signal
import threading
import time

import pytest

from agent.daemon.service_signals import HARD_STOP_SECONDS, MIN_STEP_SECONDS, STOP_SECONDS, ServiceSignals
from agent.install import systemd as service
from waiting import await_true

TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize(
    ("number", "stopping", "reloading"),
    [(signal.SIGTERM, True, False), (signal.SIGINT, True, False), (signal.SIGHUP, False, True)],
)
def test_a_signal_ends_the_wait_and_sets_its_request(number: signal.Signals, stopping: bool, reloading: bool) -> None:
    signals = ServiceSignals()
    with signals.caught():
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        before = time.monotonic()
        signals.wait(60)
        assert time.monotonic() - before < 30
    assert (signals.stopping, signals.reloading) == (stopping, reloading)


def test_a_signal_before_the_wait_ends_it_at_once() -> None:
    signals = ServiceSignals()
    with signals.caught():
        os.kill(os.getpid(), signal.SIGHUP)
        before = time.monotonic()
        signals.wait(60)
    assert time.monotonic() - before < 30


def test_a_wait_without_a_signal_ends_on_time() -> None:
    signals = ServiceSignals()
    with signals.caught():
        signals.wait(0.01)
    assert not signals.stopping


def test_signal_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in TAKEN]
    with ServiceSignals().caught():
        assert [signal.getsignal(number) for number in TAKEN] != before
    assert [signal.getsignal(number) for number in TAKEN] == before


def test_a_burst_of_signals_causes_no_deadlock() -> None:
    signals = ServiceSignals()
    sent = threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGHUP) for _ in range(2000)])
    with signals.caught():
        sent.start()
        while sent.is_alive():
            signals.wait(0.0001)
        os.kill(os.getpid(), signal.SIGTERM)
        await_true(lambda: signals.stopping)
    assert signals.reloading


def test_the_steps_of_a_stop_share_one_deadline_and_the_kernel_enforces_the_last() -> None:
    signals = ServiceSignals()
    assert signals.remaining_seconds(12.0) == 12.0
    with signals.caught():
        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait(60)
        assert signals.remaining_seconds(2.0) == 2.0
        assert signals.remaining_seconds(60.0) <= STOP_SECONDS
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)  # one more moves no deadline
        assert signals.remaining_seconds(60.0) <= STOP_SECONDS - 0.01
        signals._stop_by = time.monotonic() - 5
        assert signals.remaining_seconds(60.0) == MIN_STEP_SECONDS
        assert 0 < signal.alarm(0) <= HARD_STOP_SECONDS
        signal.alarm(HARD_STOP_SECONDS)
    assert signal.alarm(0) == 0


def test_a_reload_sets_no_deadline() -> None:
    signals = ServiceSignals()
    with signals.caught():
        os.kill(os.getpid(), signal.SIGHUP)
        signals.wait(60)
        assert signal.alarm(0) == 0
        assert signals.remaining_seconds(12.0) == 12.0


def test_the_unit_waits_longer_than_a_stop_may_take() -> None:
    unit = (service.files_folder() / service.UNIT).read_text(encoding="utf-8")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert STOP_SECONDS < HARD_STOP_SECONDS < int(seconds)
