"""The result of a campaign as text."""

from __future__ import annotations

from typing import Any

from agent.render.campaign_text import campaign_text, check_text


def host(name: str, **changed: Any) -> dict[str, Any]:
    found = {"host": name, "status": "verified", "version": "1.0", "energy": "measured", "clock_seconds": 0.12}
    return {**found, "problems": [], "notes": [], **changed}


def profile(name: str, status: str, reason: str = "") -> dict[str, Any]:
    return {"host": name, "workload": "gemm --quick", "repetition": 1, "status": status, "reason": reason}


def figures(name: str, done: int, **changed: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("point", "inferences_per_second", "joules_per_inference", "joules_per_output_token"))
    return {
        "host": name,
        "workload": "gemm --quick",
        "planned": 1,
        "done": done,
        "energy_source": None,
        **empty,
        **changed,
    }


RESULT: dict[str, Any] = {
    "campaign": "nightly",
    "run": "20260101-000000-0123abcd",
    "status": "finished",
    "hosts": [
        host("one", notes=["its energy is estimated, not measured"]),
        host("two", status="refused", problems=["it has 7 of 8 devices"], clock_seconds=None),
        host("three"),
    ],
    "profiles": [profile("one", "done"), profile("two", "waiting"), profile("three", "failed", "no memory")],
    "figures": [
        figures(
            "one",
            1,
            point="n=512",
            inferences_per_second={"mean": 12.5, "lower": 12.0, "upper": 13.0},
            joules_per_inference={"mean": 0.5, "lower": None, "upper": None},
            energy_source="estimated",
        ),
        figures("two", 0),
        figures("three", 0),
    ],
    "accepted": "20251225-000000-0123abcd",
    "drift": {
        "changes": [
            {
                "subject": "one: gemm --quick",
                "point": "n=512",
                "metric": "joules_per_inference",
                "ratio": 1.25,
                "lower": 1.1,
                "upper": None,
                "p": 0.00001,
                "regressed": True,
            }
        ],
        "untested": ["two: 0 new profiles, and a difference needs 3"],
    },
}


def test_each_host_has_a_row_and_each_reason_a_line() -> None:
    assert campaign_text(RESULT, 120) == (
        "nightly, run 20260101-000000-0123abcd: finished. 1 of 3 profiles done on 3 hosts, 1 host refused.\n"
        "\n"
        "HOST   WORKLOAD      PROFILES  POINT  INFERENCES/S  ENERGY OF AN INFERENCE  OF A TOKEN  STATE\n"
        "one    gemm --quick       1/1  n=512  12.5 ±4.0 %   0.500 J estimated       -           done\n"
        "two    gemm --quick       0/1  -      -             -                       -           REFUSED\n"
        "three  gemm --quick       0/1  -      -             -                       -           FAILED\n"
        "\n"
        "one: note: its energy is estimated, not measured.\n"
        "two: it has 7 of 8 devices.\n"
        "three: gemm --quick 1: no memory.\n"
        "\n"
        "Drift: 1 regression, against run 20251225-000000-0123abcd, 1 figure tested.\n"
        "REGRESSION one: gemm --quick, n=512: joules_per_inference is 1.25 times that of the accepted run (1.10 to "
        "unbounded, p <\n"
        "  0.0001).\n"
        "not tested: two: 0 new profiles, and a difference needs 3."
    )


def test_a_check_shows_version_energy_and_clock_of_each_host() -> None:
    assert check_text(RESULT, 120) == (
        "HOST   STATE     VERSION  ENERGY    CLOCK WITHIN\n"
        "one    verified  1.0      measured        0.12 s\n"
        "two    REFUSED   1.0      measured             -\n"
        "three  verified  1.0      measured        0.12 s\n"
        "\n"
        "one: note: its energy is estimated, not measured.\n"
        "two: it has 7 of 8 devices."
    )


def test_thousands_of_reasons_are_counted_and_not_printed() -> None:
    hosts = [host(f"n{number}", problems=["no answer"]) for number in range(300)]
    lines = check_text({**RESULT, "hosts": hosts}, 80).splitlines()
    assert lines[-1] == "250 more reasons: --json lists all."
