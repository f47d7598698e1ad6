"""The drift of a campaign: a host, a workload or a profile that is missing never passes for one without a change."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from agent.campaigns.drift import drift_since
from agent.campaigns.events import Stored, state_of
from agent.campaigns.planning import begun
from agent.campaigns.result import result_of
from campaign_files import TWO_HOSTS, campaign_of, profile_of

if TYPE_CHECKING:
    from pathlib import Path

    from agent.campaigns.events import RunState

BEFORE, NOW = "20260101-000000-0123abcd", "20260102-000000-0123abcd"


def state(folder: Path, run: str, text: str) -> RunState:
    start = begun(campaign_of(folder, f"repetitions = 3\n{text}"), run, 1)
    found = state_of([start, *(Stored(task.uid) for task in start.tasks)])
    assert found is not None
    return found


def documents(*states: RunState, without: str = "") -> dict[str, Any]:
    uids = [uid for each in states for uid in each.tasks if uid != without]
    return {uid: profile_of(uid, 1 + 0.001 * number) for number, uid in enumerate(uids)}


@pytest.mark.parametrize(
    ("old", "new", "subject", "reason"),
    [
        ('[[host]]\nname = "two"\n', "", "two: transformer --quick --batch=1,8", "0 new profiles"),
        ("[1, 8]", "[1, 4]", "one: transformer --quick --batch=1,4", "0 accepted profiles"),
        ("[1, 8]", "[1, 4]", "two: transformer --quick --batch=1,8", "0 new profiles"),
    ],
)
def test_a_host_or_a_workload_of_one_run_alone_is_a_reason(
    tmp_path: Path, old: str, new: str, subject: str, reason: str
) -> None:
    accepted, now = state(tmp_path, BEFORE, TWO_HOSTS), state(tmp_path, NOW, TWO_HOSTS.replace(old, new))
    found = drift_since(accepted, now, documents(accepted, now).get, 0.05)
    assert any(each.startswith(f"{subject}: {reason}") for each in found.untested)


@pytest.mark.parametrize("uid", [f"{BEFORE}-2", f"{NOW}-2"])
def test_a_profile_that_the_store_lacks_is_a_reason(tmp_path: Path, uid: str) -> None:
    accepted, now = state(tmp_path, BEFORE, TWO_HOSTS), state(tmp_path, NOW, TWO_HOSTS)
    assert drift_since(accepted, now, documents(accepted, now).get, 0.05).untested == ()
    [reason] = drift_since(accepted, now, documents(accepted, now, without=uid).get, 0.05).untested
    assert reason.startswith("one: transformer --quick --batch=1,8: 2 ")


def test_the_profiles_of_one_host_at_a_time_are_in_memory(tmp_path: Path) -> None:
    accepted, now = state(tmp_path, BEFORE, TWO_HOSTS), state(tmp_path, NOW, TWO_HOSTS)
    known, held = documents(accepted, now), list[weakref.ref[Any]]()

    class Profile(dict[str, Any]):
        """A profile that a weak reference can follow."""

    def document(uid: str) -> dict[str, Any]:
        found = Profile(known[uid])
        held.append(weakref.ref(found))
        assert sum(each() is not None for each in held) <= 6
        return found

    drift_since(accepted, now, document, 0.05)
    assert len(held) == 12
    held.clear()
    assert len(result_of("nightly", now, document, running=False).figures) == 2
    assert len(held) == 6
