"""Termination signals interrupt a stoppable block once and end waits, and their handlers are restored."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from agent.runtime.signals import SignalRequests


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs before this is over


def test_the_first_signal_interrupts_a_stoppable_block_and_sets_the_exit_code() -> None:
    signals = SignalRequests()
    assert signals.exit_code == 0
    with signals.caught(), pytest.raises(KeyboardInterrupt), signals.stoppable():
        send(signal.SIGTERM)
    assert signals.exit_code == 143


def test_further_signals_interrupt_nothing() -> None:
    signals = SignalRequests()
    with signals.caught():
        with pytest.raises(KeyboardInterrupt), signals.stoppable():
            send(signal.SIGINT)
        send(signal.SIGINT)
        send(signal.SIGTERM)
    assert signals.exit_code == 130


def test_a_signal_outside_of_a_stoppable_block_interrupts_the_next_one_at_its_start() -> None:
    signals = SignalRequests()
    with signals.caught():
        send(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt), signals.stoppable():
            pytest.fail("it began")
    assert signals.exit_code == 129


def test_signal_handlers_are_restored_and_ignored_signals_stay_ignored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    taken: list[int] = []
    try:
        with SignalRequests(taken.append).caught():
            send(signal.SIGHUP)
            send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert taken == [signal.SIGTERM]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_wait_ends_at_a_signal_or_a_wake_and_reports_only_a_readable_descriptor() -> None:
    signals = SignalRequests()
    reader, writer = os.pipe()
    with signals.caught():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert not signals.wait(descriptor=reader)
        threading.Timer(0.05, signals.wake).start()
        assert not signals.wait(descriptor=reader)
        os.write(writer, b"x")
        assert signals.wait(descriptor=reader)
    os.close(reader)
    os.close(writer)
    assert signals.number == signal.SIGTERM


def test_more_wakes_than_the_pipe_holds_block_no_thread() -> None:
    signals = SignalRequests()
    for _ in range(70_000):
        signals.wake()
    signals.wait()
