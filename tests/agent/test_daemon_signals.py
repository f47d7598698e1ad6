from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from agent.signals import Signals
from waiting import await_true

TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize(
    ("number", "stopping", "reloading"),
    [(signal.SIGTERM, True, False), (signal.SIGINT, True, False), (signal.SIGHUP, False, True)],
)
def test_a_signal_ends_the_wait_and_says_what_it_asked_for(
    number: signal.Signals, stopping: bool, reloading: bool
) -> None:
    signals = Signals()
    with signals.caught():
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        before = time.monotonic()
        signals.wait(60)
        assert time.monotonic() - before < 30
    assert (signals.stopping, signals.reloading) == (stopping, reloading)


def test_a_signal_that_came_before_the_wait_ends_it_at_once() -> None:
    signals = Signals()
    with signals.caught():
        os.kill(os.getpid(), signal.SIGHUP)
        before = time.monotonic()
        signals.wait(60)
    assert time.monotonic() - before < 30


def test_without_a_signal_the_wait_is_over_in_time() -> None:
    signals = Signals()
    with signals.caught():
        signals.wait(0.01)
    assert not signals.stopping


def test_signals_are_given_back_as_they_were() -> None:
    before = [signal.getsignal(number) for number in TAKEN]
    with Signals().caught():
        assert [signal.getsignal(number) for number in TAKEN] != before
    assert [signal.getsignal(number) for number in TAKEN] == before


def test_a_burst_of_signals_hangs_nothing() -> None:
    signals = Signals()
    sent = threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGHUP) for _ in range(2000)])
    with signals.caught():
        sent.start()
        while sent.is_alive():
            signals.wait(0.0001)
        os.kill(os.getpid(), signal.SIGTERM)
        await_true(lambda: signals.stopping)
    assert signals.reloading
