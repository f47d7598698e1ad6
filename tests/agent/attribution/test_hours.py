"""The hours of a server have all of its energy, also of the time in which it did not answer."""

from __future__ import annotations

import pytest

from serving_rig import Rig, drain, server


def test_the_energy_of_an_hour_includes_that_of_failed_scrapes() -> None:
    rig = Rig([server("a", devices=["dev"])])
    drain(rig)
    for n in range(24):
        rig.step({"a": 4.0}, failing=["a"] if n % 3 else ())
    hours = rig.ledger.hours("host")
    joules = sum((hour.idle_joules or 0.0) + (hour.attributed_joules or 0.0) for hour in hours)
    assert joules == pytest.approx(sum(rig.ledger.totals.joules.values()))
    assert sum(hour.output_tokens or 0.0 for hour in hours) == rig.ledger.totals.counts["a", "m", "output_tokens"]
    assert {hour.source for hour in hours} == {"measured"}
