"""Termination signals interrupt a stoppable block once, and their handlers are restored."""

from __future__ import annotations

import os
import signal
import time

import pytest

from agent.runtime.interrupts import Interruption, termination_signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs before this is over


def test_the_first_signal_interrupts_a_stoppable_block_and_sets_the_exit_code() -> None:
    interruption = Interruption()
    assert interruption.exit_code == 0
    with interruption.caught(), pytest.raises(KeyboardInterrupt), interruption.stoppable():
        send(signal.SIGTERM)
    assert interruption.exit_code == 143


def test_further_signals_interrupt_nothing() -> None:
    interruption = Interruption()
    with interruption.caught():
        with pytest.raises(KeyboardInterrupt), interruption.stoppable():
            send(signal.SIGINT)
        send(signal.SIGINT)
        send(signal.SIGTERM)
    assert interruption.exit_code == 130


def test_a_signal_outside_of_a_stoppable_block_interrupts_the_next_one_at_its_start() -> None:
    interruption = Interruption()
    with interruption.caught():
        send(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt), interruption.stoppable():
            pytest.fail("it began")
    assert interruption.exit_code == 129


def test_signal_handlers_are_restored_and_ignored_signals_stay_ignored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    taken: list[int] = []
    try:
        with termination_signals(taken.append):
            send(signal.SIGHUP)
            send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert taken == [signal.SIGTERM]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
