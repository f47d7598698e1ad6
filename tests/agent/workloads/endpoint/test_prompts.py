"""Prompts: synthetic ones, and those of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.workloads.endpoint import prompt_file
from agent.workloads.endpoint.prompt_file import as_text, read_prompts
from agent.workloads.endpoint.prompts import Calibration, SyntheticText
from agent.workloads.errors import WorkloadError


@pytest.mark.parametrize("words", [1, 5, 12, 100, 40_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_text_has_the_words_asked_for(words, share):
    assert len(SyntheticText(share).text(words).split()) == words


def test_texts_of_two_processes_differ():
    assert SyntheticText(0.0).text(20) != SyntheticText(0.0).text(20)


def test_texts_share_a_prefix_of_the_given_part():
    text = SyntheticText(0.25)
    first, second = text.text(80).split(), text.text(80).split()
    assert first[:20] == second[:20]
    assert first[20:] != second[20:]


def test_a_calibration_gives_the_words_of_a_length():
    calibration = Calibration(31.0, 1.25)
    assert calibration.words(131) == 80
    assert calibration.words(1) == 1
    assert calibration.least_tokens == 32


def read(tmp_path, *lines):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return read_prompts(file)


def test_every_form_of_a_line_is_read(tmp_path):
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "hi"}]
    prompts = read(
        tmp_path,
        '"a text"',
        {"prompt": "one"},
        {"messages": messages, "id": 3},
        messages,
        "",
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}]},
    )
    assert [as_text(each) for each in prompts] == ["a text", "one", "be short\nhi", "be short\nhi", "q", "s\nq"]
    assert prompts[-1][0]["role"] == "system"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{secret", "line 2: not JSON"),
        ("[" * 100_000, "line 2: not JSON"),
        ("3", "line 2: no prompt, messages or conversations"),
        ({"text": "secret"}, "line 2: no prompt"),
        ({"prompt": ""}, "line 2: no prompt"),
        ([{"content": "secret"}], "line 2: a message without a known role"),
        (
            {"conversations": [{"from": "gpt", "value": "secret"}]},
            "line 2: the conversation has no message of the user",
        ),
    ],
)
def test_a_wrong_line_is_named_without_its_content(tmp_path, line, message):
    with pytest.raises(WorkloadError, match=message) as refused:
        read(tmp_path, '"fine"', line)
    assert "secret" not in f"{refused.value}{refused.value.remedy}"


def test_a_file_without_prompts_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match="no prompts"):
        read(tmp_path, "", " ")


def test_sizes_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(prompt_file, "_MOST_LINE_BYTES", 10)
    with pytest.raises(WorkloadError, match="line 1: longer than"):
        read(tmp_path, '"more than ten bytes"')
    monkeypatch.setattr(prompt_file, "_MOST_BYTES", 10)
    with pytest.raises(WorkloadError, match="larger than"):
        read(tmp_path, '"more than ten bytes"')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WorkloadError, match="--prompts nowhere: No such file"):
        read_prompts(tmp_path / "nowhere")


def test_a_device_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(prompt_file, "_MOST_BYTES", 1 << 20)
    with pytest.raises(WorkloadError, match="--prompts zero: larger than 1 MiB"):
        read_prompts(Path("/dev/zero"))
