"""The failed checks of a printed profile."""

from __future__ import annotations

from agent.render.profile_warnings import ADVICE
from loads import every_check
from profile_documents import DOCUMENT, POINT, failed, shown


def test_a_failed_check_is_shown_once_with_its_points_and_an_invalid_one_comes_first() -> None:
    fine = {"name": "repeats", "status": "passed", "severity": "invalid", "message": "3 complete repeats"}
    unknown = {"name": "steal_time", "status": "unknown", "severity": "warning", "message": "unknown"}
    drift, reset = failed("idle_drift", "it moved"), failed("counters_uninterrupted", "a reset", "invalid")
    checks = {
        "batch=1": [drift, failed("energy_spread", "varies by 5%"), fine],
        "batch=2": [drift, failed("energy_spread", "varies by 9%"), failed("steady", "it changes"), unknown],
        "batch=4": [drift, failed("steady", "it changes"), reset],
    }
    points = [{**POINT, "name": name, "checks": own} for name, own in checks.items()]
    lines = shown({**DOCUMENT, "points": points}, width=500)
    assert [line for line in lines if line.startswith(("Warning", "Invalid"))] == [
        f"Invalid (batch=4): a reset. {' '.join(ADVICE['counters_uninterrupted'])} [counters_uninterrupted]",
        f"Warning (every point): it moved. {' '.join(ADVICE['idle_drift'])} [idle_drift]",
        f"Warning (batch=1, batch=2, here batch=1): varies by 5%. {' '.join(ADVICE['energy_spread'])} [energy_spread]",
        f"Warning (batch=2, batch=4): it changes. {' '.join(ADVICE['steady'])} [steady]",
    ]
    alone = shown({**DOCUMENT, "points": points[:1]}, width=500)
    assert any(line.startswith("Warning (batch=1): it moved.") for line in alone)


def test_every_check_has_a_likely_cause_and_an_action_unless_its_message_has_both() -> None:
    checks = {check.name for check in every_check()}
    assert checks - {"windows_long_enough", "tolerance_met"} == ADVICE.keys()
