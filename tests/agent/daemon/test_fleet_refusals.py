"""Refused profiles are tried again, ever less often, and each reason is reported once."""

from __future__ import annotations

from agent.daemon.fleet_refusals import Refusals

BOTH = frozenset({"a", "b"})


def test_a_refused_profile_is_due_after_an_hour_and_then_ever_less_often_up_to_a_day() -> None:
    refusals, now, waits = Refusals(), 0.0, []
    assert refusals.due(BOTH, now) == BOTH
    for _ in range(8):
        refusals.note({"a"}, {"a": "no right"}, now)
        wait = next(hours for hours in range(1, 100) if "a" in refusals.due(BOTH, now + hours * 3600.0))
        assert "a" not in refusals.due(BOTH, now + wait * 3600.0 - 1)
        waits.append(wait)
        now += wait * 3600.0
    assert waits == [1, 2, 4, 8, 16, 24, 24, 24]


def test_a_reason_is_new_once_and_again_if_it_changes() -> None:
    refusals = Refusals()
    assert refusals.note(BOTH, {"b": "no right", "a": "no right"}, 0.0) == [("a", "no right"), ("b", "no right")]
    assert refusals.note(BOTH, {"a": "no right", "b": "too large"}, 9e9) == [("b", "too large")]


def test_a_profile_that_was_taken_or_deleted_is_forgotten() -> None:
    refusals = Refusals()
    refusals.note(BOTH, {"a": "no right", "b": "no right"}, 0.0)
    refusals.note({"a"}, {}, 1.0)
    assert refusals.due(BOTH, 2.0) == {"a"}
    assert refusals.due(frozenset({"a"}), 2.0) == {"a"}
    assert refusals.due(BOTH, 2.0) == BOTH
