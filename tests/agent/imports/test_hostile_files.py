"""Files that no tool wrote: each is refused with one line that names it, without much time or memory."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agent.imports import files
from agent.imports.files import read_file
from agent.imports.records import ResultError
from agent.imports.registry import tool_of
from command import call
from result_files import (
    AIPERF,
    AIPERF_SUMMARY,
    GUIDELLM,
    LIFECYCLES,
    LLAMA_BENCH,
    REPORT,
    VLLM,
    record_around_guidellm,
    runs_of,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEEP = 5_000_000


def error_of(*paths: Path) -> str:
    """Read and parse files that are refused, and return the error, which is one line."""
    with pytest.raises(ResultError) as caught:
        runs_of(*paths)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def changed(path: Path, folder: Path, change: Callable[[Any], object]) -> Path:
    """Write a result with one change."""
    result = json.loads(path.read_text())
    change(result)
    return written(folder, json.dumps(result), path.name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe{",
        b"{",
        b"[]",
        b"{}",
        b"[1, 2]",
        b"null",
        b"hello: world",
        b'{"a": NaN}',
        b'{"date": "20260101-000000"} trailing',
        b'{"a": 1}\n{"b": 2}\n',
        b"{'a': 1}",
        b"\x1b[31m",
        b'{"metadata": {"guidellm_version": "1"}, "benchmarks": "all"}',
        b'{"metadata": {"guidellm_version": 1}, "benchmarks": []}',
        b'{"metadata": {"guidellm_version": "1"}, "benchmarks": []}',
        b'{"metadata": {"request_start_ns": 1}, "metrics": {}}',
        b'[{"build_commit": 1, "model_filename": 1, "n_prompt": 1, "n_gen": 1, "test_time": 1}]',
        b'[{"start_time": "x", "end_time": 0, "request": 0, "info": 0}]',
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    assert "result.json: " in error_of(written(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b"[" * DEEP,
        b'{"metadata": {"guidellm_version": "1"}, "benchmarks": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"metadata": {"guidellm_version": "1"}, "benchmarks": [], "more": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"metadata": {"request_start_ns": 1}, "metrics": {}}\n' + b"[" * DEEP,
    ],
    ids=["lists", "objects", "unclosed", "known field", "unknown field", "second line"],
)
def test_ten_megabytes_of_nesting_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "result.json: " in error_of(written(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"run: &a [*a, *a]\nresults:\n  request_performance: inference-perf-\n",
        b"run: {uid: !!python/object/apply:os.system [id]}\nx: inference-perf-\nrequest_performance: 1\n",
        b"request_performance:\n  inference-perf-: " + b"[" * 100_000,
        b"request_performance: {inference-perf-: " + b"x" * (1 << 16) + b"}",
        b"request_performance: 1\ninference-perf-: \x00",
        b"version: 0.2.1\nrun: {uid: x}\nresults: {request_performance: inference-perf-}\nrequest_performance: 1",
    ],
    ids=["aliases", "objects", "nesting", "size", "control", "fields"],
)
def test_yaml_that_is_no_report_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "report.yaml: " in error_of(
        written(tmp_path, content.replace(b"performance: {", b"performance:\n {"), "report.yaml")
    )


@pytest.mark.parametrize("value", [-1.0, 1e300, 0, "now", None, [], True, 10**400])
def test_a_time_outside_the_century_is_refused(tmp_path: Path, value: object) -> None:
    def change(result: Any) -> None:
        result["benchmarks"][0]["start_time"] = value

    assert "$.benchmarks[0].start_time" in error_of(changed(GUIDELLM, tmp_path, change)) or value == 10**400


@pytest.mark.parametrize("value", [-1, 1.5, "16", 10**13, 10**30, [16]])
def test_a_wrong_number_of_tokens_is_refused(tmp_path: Path, value: object) -> None:
    def change(result: Any) -> None:
        result["benchmarks"][0]["requests"]["successful"][3]["output_tokens"] = value

    text = error_of(changed(GUIDELLM, tmp_path, change))
    assert "$.benchmarks[0].requests.successful[3].output_tokens" in text or "out of range" in text


@pytest.mark.parametrize("date", ["", "yesterday", "99999999-999999", "20260131", "00010101-000000", "\x1b[2J"])
def test_a_wrong_date_of_vllm_is_refused(tmp_path: Path, date: str) -> None:
    assert "is not a time such as" in error_of(changed(VLLM, tmp_path, lambda result: result.update(date=date)))


def test_lists_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = changed(VLLM, tmp_path, lambda result: result["ttfts"].pop())
    assert "its lists of requests differ in length" in error_of(path)


@pytest.mark.parametrize("duration", [0, 0.0, -3])
def test_a_run_without_a_length_is_refused(tmp_path: Path, duration: float) -> None:
    path = changed(VLLM, tmp_path, lambda result: result.update(duration=duration))
    assert "has no length" in error_of(path) or "$.duration" in error_of(path)


def test_times_of_a_request_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    def change(result: Any) -> None:
        request = result["benchmarks"][0]["requests"]["successful"][0]
        request["request_end_time"] = request["request_start_time"] - 1

    record_around_guidellm(tmp_path)
    result = call(tmp_path, "profile", "import", changed(GUIDELLM, tmp_path, change))
    assert (result.returncode, "in the wrong order" in result.stderr) == (1, True)


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00", "0001-01-01T00:00:00", "soon", "9999-12-31T23:59:59"])
def test_a_wrong_local_time_of_aiperf_is_refused(tmp_path: Path, text: str) -> None:
    path = changed(AIPERF_SUMMARY, tmp_path, lambda result: result.update(start_time=text))
    assert "is not a time" in error_of(path)


@pytest.mark.parametrize("text", ["soon", "0001-01-01T00:00:00Z", "2026-01-31"])
def test_a_wrong_time_of_llama_bench_is_refused_or_used_as_it_is(tmp_path: Path, text: str) -> None:
    path = changed(LLAMA_BENCH, tmp_path, lambda tests: [test.update(test_time=text) for test in tests])
    if text.startswith("2026"):
        assert len(tool_of([read_file(path)]).runs([read_file(path)], None)) == 3
    else:
        assert "is not a time such as" in error_of(path)


def test_repetitions_between_unmeasured_work_are_refused(tmp_path: Path) -> None:
    path = changed(LLAMA_BENCH, tmp_path, lambda tests: tests[0].update(n_depth=512))
    assert "run llama-bench without -d" in error_of(path)


def test_repetitions_are_needed(tmp_path: Path) -> None:
    path = changed(LLAMA_BENCH, tmp_path, lambda tests: tests[0].update(samples_ns=[]))
    assert "has no length" in error_of(path)
    assert "run llama-bench with -o json" in error_of(LLAMA_BENCH.with_suffix(".csv"))


def test_a_wrong_stage_of_inference_perf_is_refused(tmp_path: Path) -> None:
    text = REPORT.read_text()
    for start in ("0001-01-01T00:00:00Z", "now"):
        path = written(tmp_path, text.replace("2026-11-27T01:23:47.314162Z", start), "report.yaml")
        assert "its time is wrong" in error_of(path)
    path = written(tmp_path, text.replace("failures: 3", "failures: 30"), "report.yaml")
    assert "no request succeeded" in error_of(path)


def test_two_lists_of_requests_are_refused() -> None:
    assert "the second list of requests" in error_of(LIFECYCLES, LIFECYCLES)


def test_requests_that_were_all_cancelled_are_refused(tmp_path: Path) -> None:
    text = AIPERF.read_text().replace('"was_cancelled":false', '"was_cancelled":true')
    assert "no request that ended" in error_of(written(tmp_path, text))


def test_devices_folders_and_sockets_are_refused_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in (tmp_path, tmp_path / "socket", *(tmp_path.__class__("/dev", name) for name in ("zero", "null"))):
            assert "this is not a file" in error_of(path)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    assert "No such file" in error_of(tmp_path / "missing.json")


def test_a_file_above_the_cap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(files.MAX_BYTES + 1)  # a sparse file
    assert "it is larger than 128 MiB" in error_of(path)


def test_a_link_to_a_result_is_followed_and_a_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(GUIDELLM)
    assert len(tool_of([read_file(tmp_path / "link")]).runs([read_file(tmp_path / "link")], None)) == 1
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in error_of(tmp_path / "loop")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that belongs to another user")
def test_a_link_of_another_user_in_a_shared_folder_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "result.json"
    link.symlink_to(GUIDELLM)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    result = call(tmp_path, "profile", "import", link)
    assert result.returncode == 2
    assert "refused" in result.stderr


def test_control_characters_of_a_result_reach_no_terminal(tmp_path: Path) -> None:
    def change(result: Any) -> None:
        benchmark = result["benchmarks"][0]
        benchmark["config"]["backend"]["model"] = "a\x1b[2Jb"
        for request in benchmark["requests"]["successful"][:3]:
            request["info"]["error"] = "\x1b]0;title\x07 failed\nsecond line"

    record_around_guidellm(tmp_path)
    path = changed(GUIDELLM, tmp_path, change)
    result = call(tmp_path, "profile", "import", path)
    assert result.returncode == 0, result.stderr
    assert not {"\x1b", "\x07"} & set(result.stdout + result.stderr)


def test_errors_of_many_kinds_are_counted_as_others(tmp_path: Path) -> None:
    def change(result: Any) -> None:
        own = result["benchmarks"][0]
        for number, request in enumerate(own["requests"]["successful"][:25]):
            request["info"]["error"] = f"failure {number}"

    record_around_guidellm(tmp_path)
    result = call(tmp_path, "profile", "import", changed(GUIDELLM, tmp_path, change), "--json")
    errors = json.loads(result.stdout)["points"][0]["serving"]["errors"]
    assert len(errors) <= 20
    assert sum(errors.values()) == 25
    assert errors["other"] >= 6


def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path) -> None:
    lines = AIPERF.read_text().splitlines()
    lines[4] = lines[4].replace('"benchmark_phase":"profiling"', '"benchmark_phase":7')
    assert "line 5: Expected `str`" in error_of(written(tmp_path, "\n".join(lines)))


def test_yaml_without_its_library_is_an_error_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'inferometer[import]'" in error_of(REPORT)


def test_a_summary_of_inference_perf_alone_has_no_time() -> None:
    assert "name the report of the stage too" in error_of(REPORT.with_name("stage_0_lifecycle_metrics.json"))


def test_an_empty_list_of_requests_or_tests_is_no_result(tmp_path: Path) -> None:
    assert "this is not a result of" in error_of(written(tmp_path, "[]"))


def test_thousands_of_runs_are_refused(tmp_path: Path) -> None:
    record_around_guidellm(tmp_path)
    line = json.dumps({**json.loads(VLLM.read_text()), "start_times": None, "itls": None})
    result = call(tmp_path, "profile", "import", written(tmp_path, f"{line}\n" * 2000))
    assert (result.returncode, "import at most 500 at once" in result.stderr) == (1, True)
