import threading

import pytest

from probes.deadline import Call, NoAnswerError, within


def test_a_call_returns_its_result_or_raises_its_error():
    assert within(20, lambda: 7, "seven") == 7
    with pytest.raises(ZeroDivisionError):
        within(20, lambda: 1 / 0, "fault")


def test_a_result_in_time_is_not_discarded():
    discarded = []
    assert within(20, lambda: 7, "seven", discarded.append) == 7
    assert discarded == []


def test_a_late_result_is_discarded():
    gate, discarded = threading.Event(), threading.Event()
    call = Call(lambda: gate.wait(60), "late", lambda _: discarded.set())
    with pytest.raises(NoAnswerError):
        call.result(0)
    gate.set()
    assert discarded.wait(60)


def test_a_late_error_is_dropped():
    gate = threading.Event()

    def fail():
        gate.wait(60)
        raise OSError

    call = Call(fail, "late-fault", lambda _: pytest.fail("nothing is there to discard"))
    with pytest.raises(NoAnswerError):
        call.result(0)
    gate.set()
    with pytest.raises(OSError):  # noqa: PT011  the bare error of `fail`
        call.result(20)
