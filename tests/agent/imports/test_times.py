"""The possible starts of a run: exact where the result allows it, else a range that contains the true one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from agent.imports.records import TimeRange
from result_files import (
    AIPERF_SUMMARY,
    GUIDELLM,
    LIFECYCLES,
    LLAMA_BENCH,
    REPORT,
    SECOND,
    VLLM,
    only_run,
    runs_of,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VLLM_ZERO_NS = 1_795_717_536_901_458_000
"""The Unix time of the zero of the monotonic clock on the host of the results."""
DATE_NS = 1_795_742_582 * SECOND  # 2026-11-27 01:23:02 UTC
STAGES = REPORT.with_name("stage_0_lifecycle_metrics.json")


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def start_of(*paths: Path, zero_ns: int | None = None) -> TimeRange:
    found = only_run(*paths, monotonic_zero_ns=zero_ns).start
    assert found is not None
    return found


def test_vllm_ends_before_its_date() -> None:
    start, duration_ns = start_of(VLLM), only_run(VLLM).duration_ns
    assert start == TimeRange(DATE_NS - 2 * SECOND - duration_ns, DATE_NS + SECOND - duration_ns)
    assert (start.half_ns, start.middle_ns) == (1.5 * SECOND, DATE_NS - duration_ns - SECOND // 2)


def test_vllms_monotonic_times_are_exact_if_they_fit_its_date() -> None:
    start = start_of(VLLM, zero_ns=VLLM_ZERO_NS)
    first = json.loads(VLLM.read_text())["start_times"][0]
    assert start.earliest_ns == start.latest_ns == VLLM_ZERO_NS + round(first * 1e9)
    by_date = start_of(VLLM)
    assert by_date.earliest_ns < start.earliest_ns < by_date.latest_ns
    assert start_of(VLLM, zero_ns=VLLM_ZERO_NS + 10 * SECOND) == by_date  # another boot


def test_the_date_of_vllm_is_in_the_zone_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    in_utc = start_of(VLLM)
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    assert start_of(VLLM) == in_utc.shifted(-3600 * SECOND)


def test_guidellm_has_exact_times() -> None:
    start = start_of(GUIDELLM)
    assert start.half_ns == 0
    assert start.earliest_ns == pytest.approx(1_795_742_465_827_434_000, abs=1000)


def test_a_summary_of_aiperf_lies_within_its_phase() -> None:
    start = start_of(AIPERF_SUMMARY)
    assert start.earliest_ns == 1_795_742_721_924_057_000
    assert start.latest_ns - start.earliest_ns == pytest.approx(0.013089816 * SECOND)


def test_requests_of_inference_perf_lie_within_their_stage() -> None:
    start = start_of(LIFECYCLES, REPORT)
    assert start.earliest_ns == 1_795_742_627_314_162_000
    exact = start_of(LIFECYCLES, REPORT, zero_ns=VLLM_ZERO_NS)
    assert exact.half_ns == 0
    assert start.earliest_ns < exact.earliest_ns < start.latest_ns
    assert start_of(LIFECYCLES, REPORT, zero_ns=VLLM_ZERO_NS - 10 * SECOND) == start  # another boot
    assert only_run(LIFECYCLES).start is None


def test_a_stage_has_the_concurrency_of_its_summary() -> None:
    run = only_run(LIFECYCLES, REPORT, STAGES)
    assert (dict(run.parameters), run.arrivals, run.model) == ({"concurrency": 2}, "closed", "smollm2")
    assert dict(only_run(REPORT, STAGES).parameters) == {"concurrency": 2}


def test_a_stage_without_clients_has_the_rate_of_its_summary(tmp_path: Path) -> None:
    summary = json.loads(STAGES.read_text())
    del summary["load_summary"]["concurrency"]
    run = only_run(REPORT, written(tmp_path, json.dumps(summary)))
    assert (dict(run.parameters), run.arrivals) == ({"rate": 30.0}, "unknown")


def test_a_summary_of_another_stage_does_not_count(tmp_path: Path) -> None:
    text = STAGES.read_text().replace("3.1453393716293685", "3.2")
    assert dict(only_run(REPORT, written(tmp_path, text)).parameters) == {}


def test_the_requests_of_each_stage_are_those_of_its_time(tmp_path: Path) -> None:
    middle = "2026-11-27T01:24:10.000000Z"
    first = written(tmp_path, REPORT.read_text().replace("2026-11-27T01:24:31.759383Z", middle), "stage_0.yaml")
    second = written(tmp_path, REPORT.read_text().replace("2026-11-27T01:23:47.314162Z", middle), "stage_1.yaml")
    runs = runs_of(LIFECYCLES, first, second, monotonic_zero_ns=VLLM_ZERO_NS)
    assert [run.file.rpartition("/")[2] for run in runs] == ["stage_0.yaml", "stage_1.yaml"]
    assert sum(len(run.requests) for run in runs) == 30
    assert all(0 < len(run.requests) < 30 for run in runs)
    assert all(run.totals for run in runs_of(LIFECYCLES, first, second))  # on another boot nobody can assign them


def test_a_test_of_llama_bench_lies_between_its_time_and_the_next() -> None:
    first, second, last = runs_of(LLAMA_BENCH)
    assert first.start is not None
    assert second.start is not None
    assert last.start is not None
    assert first.start.earliest_ns == 1_795_742_785 * SECOND
    assert first.start.latest_ns == 1_795_742_786 * SECOND + SECOND - first.duration_ns
    assert second.start.earliest_ns == 1_795_742_786 * SECOND
    assert last.start.latest_ns - last.start.earliest_ns == SECOND + 2 * 542_812_892
