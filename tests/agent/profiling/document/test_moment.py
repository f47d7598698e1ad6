"""The time of a document is the same moment for every reader, whatever the zone of the reader is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agent.bundles.importing import created_ns_of
from agent.exports.focus import EXPORTER as FOCUS
from agent.exports.opencost import EXPORTER as OPENCOST
from agent.exports.records import ExportRequest
from agent.profiling.document.moment import moment_of
from planner_documents import load, profile

if TYPE_CHECKING:
    from collections.abc import Iterator

POINT = load((512, 256), 0.1, 0.02, 2.0, rate=2.0)


@pytest.fixture(autouse=True)
def _five_hours_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "text", ["2026-12-31T23:30:00", "2026-12-31T23:30:00Z", "2026-12-31T23:30:00+00:00", "2027-01-01T01:30:00+02:00"]
)
def test_a_time_without_a_zone_is_in_utc(text: str) -> None:
    assert moment_of(text).isoformat() == "2026-12-31T23:30:00+00:00"
    assert created_ns_of({"created": text}) == 1_798_759_800 * 10**9


def test_exports_have_the_day_of_utc() -> None:
    request = ExportRequest((profile(POINT, created="2026-12-31T23:30:00"),))
    [charges] = FOCUS.files(request).files.values()
    [nodes] = OPENCOST.files(request).files.values()
    assert b"2026-12-31T00:00:00Z" in charges
    assert b"2026-12-31 23:30:00 UTC" in nodes
