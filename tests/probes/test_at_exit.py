"""Sessions on other machines end with the process."""

import threading

from probes import at_exit


def test_what_is_registered_is_called_once_and_what_is_forgotten_is_not():
    called = []
    at_exit.register(lambda: called.append("session"))
    at_exit.forget(at_exit.register(lambda: called.append("closed before")))
    at_exit.forget(-1)
    at_exit.close_all()
    at_exit.close_all()
    assert called == ["session"]


def test_one_that_fails_or_hangs_does_not_delay_the_others():
    called, released = threading.Event(), threading.Event()
    at_exit.register(lambda: 1 / 0)
    at_exit.register(released.wait)
    at_exit.register(called.set)
    at_exit.close_all(0.2)
    assert called.wait(60)
    released.set()
