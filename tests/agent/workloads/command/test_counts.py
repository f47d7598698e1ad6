"""The counts of a run: from its output, and from a file that it writes."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from agent.workloads.command.counts import (
    Counter,
    JsonPath,
    Source,
    parse_json_path,
    parse_pattern,
    shown_json_path,
)
from agent.workloads.errors import LostPointError

if TYPE_CHECKING:
    from pathlib import Path


def tail() -> str:
    return "the end"


def matched(pattern: str, *lines: str) -> int:
    counter = Counter(Source("--count", 1, re.compile(pattern)))
    for line in lines:
        counter.line(line)
    return counter.count(tail)


def in_file(path: Path, steps: str, content: object) -> int:
    source = Source("--tokens", 0, path=parse_json_path("--tokens-json", f"{path}:{steps}"))
    counter = Counter(source)
    path.write_text(json.dumps(content), encoding="utf-8")
    return counter.count(tail)


def test_a_fixed_count_needs_no_output() -> None:
    assert Counter(Source("--count", 7)).count(tail) == 7


def test_the_last_match_counts_by_its_first_group_or_as_a_whole() -> None:
    assert matched(r"(\d+) images in (\d+) s", "5 images in 2 s", "10 images in 4 s", "done") == 10
    assert matched(r"\d+", "step 1", "step 12") == 12
    assert matched(r"n=(\S+)", "n=3.0") == 3


@pytest.mark.parametrize("line", ["n=0", "n=-3", "n=2.5", "n=many", "n=1e16", "n=nan", "n=inf"])
def test_a_match_that_is_no_whole_number_above_0_is_an_error_with_the_output(line: str) -> None:
    with pytest.raises(LostPointError, match="is not a whole number of at least 1") as error:
        matched("n=(.*)", line)
    assert error.value.stderr_tail == "the end"


def test_a_pattern_that_matches_nothing_is_an_error_with_the_output() -> None:
    with pytest.raises(LostPointError, match="--count-regex: no line of the output matches: the end"):
        matched("images", "nothing")


def test_a_number_is_found_by_names_and_positions(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert in_file(file, "run.tokens", {"run": {"tokens": 7}}) == 7
    assert in_file(file, "runs[1].tokens", {"runs": [{"tokens": 1}, {"tokens": 2}]}) == 2
    assert in_file(file, "runs[-1]", {"runs": [4, 5]}) == 5
    assert in_file(file, "[0][1]", [[3, 9.0]]) == 9


@pytest.mark.parametrize(
    ("steps", "content", "cause"),
    [
        ("tokens", {"other": 1, "more": 2}, "result.json has no tokens"),
        ("a.b", {"a": [1]}, "has no a.b"),
        ("a[3]", {"a": [1]}, "has no a"),
        ("a[0]", {"a": "12"}, "has no a"),
        ("tokens", {"tokens": True}, "is true, which is not a whole number"),
        ("tokens", {"tokens": 0}, "is 0, which is not a whole number"),
        ("tokens", {"tokens": [1]}, "which is not a whole number"),
    ],
)
def test_a_file_without_the_number_is_an_error_that_names_both(
    tmp_path: Path, steps: str, content: object, cause: str
) -> None:
    with pytest.raises(LostPointError, match=re.escape(cause)):
        in_file(tmp_path / "result.json", steps, content)


def test_a_file_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text('{"n": 3}', encoding="utf-8")
    with pytest.raises(LostPointError, match=r"--count-json: the run did not write result\.json"):
        Counter(Source("--count", 1, path=JsonPath(file, ("n",), "n"))).count(tail)
    with pytest.raises(LostPointError, match=r"the run did not write none\.json"):
        Counter(Source("--count", 1, path=JsonPath(tmp_path / "none.json", ("n",), "n"))).count(tail)


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    counter = Counter(Source("--count", 1, path=JsonPath(tmp_path / "pipe", ("n",), "n")))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LostPointError, match="the run did not write pipe"):
        counter.count(tail)


def test_a_file_with_an_equal_size_but_a_new_time_counts(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text('{"n": 3}', encoding="utf-8")
    os.utime(file, ns=(1, 1))
    counter = Counter(Source("--count", 1, path=JsonPath(file, ("n",), "n")))
    file.write_text('{"n": 4}', encoding="utf-8")
    assert counter.count(tail) == 4


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000])
def test_a_file_that_is_not_json_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "result.json"
    counter = Counter(Source("--count", 1, path=JsonPath(file, ("n",), "n")))
    file.write_text(content, encoding="utf-8")
    with pytest.raises(LostPointError, match=r"--count-json: result\.json is not JSON"):
        counter.count(tail)


@pytest.mark.parametrize("text", ["file.json", ":a", "file.json:", "file.json:a..b", "file.json:.a", "f:a[x]", "f:a]"])
def test_a_text_that_is_no_file_and_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--count-json: .* write it as FILE:name\.name\[0\]\.name"):
        parse_json_path("--count-json", text)


def test_a_folder_with_a_colon_belongs_to_the_file_and_is_not_shown() -> None:
    found = parse_json_path("--count-json", "/home/me/a:b/out.json:x.y")
    assert found is not None
    assert (str(found.file), found.steps) == ("/home/me/a:b/out.json", ("x", "y"))
    assert shown_json_path("/home/me/a:b/out.json:x.y") == "out.json:x.y"
    assert shown_json_path("") == ""


def test_an_invalid_expression_is_refused_with_its_option() -> None:
    with pytest.raises(ValueError, match=r"--ready-when: .*unterminated"):
        parse_pattern("--ready-when", "(a")
