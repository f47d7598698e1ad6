"""The check of words finds the phrases of its list in prose, and nothing in code."""

from __future__ import annotations

import pytest
from check_words import files, findings, prose, rules

FOUND = (
    "the sensor tells its power",
    "whoever starts it",
    "it starts anew",
    "mends the row",
    "at every beat",
    "the witness",
    "an onlooker",
    "acquaint the sampler",
    "the upkeep of the store",
    "a reading is judged",
    "the gauge is believed",
    "lets go of the file",
    "what is let pass",
    "so long at most",
    "the row is to be removed",
    "closed for good",
    "it lasts for ever",
    "a made-up host",
    "the file has to be closed",
    "as foreseen",
    "how the probes fare",
    "made up of whoever asks",
    "by itself alone",
    "5 % at most",
    "10 samples at least",
    "What the threads read is queued.",
    "What is queued: reads",
    "It is stored. Where none is found, it fails.",
    "the file may not be read",
    "it hence fails",
)
NOT_FOUND = (
    "at most 5 %",
    "about 150 lines, and at most 300",
    "about 10 and at most 40",
    "200 while at least one probe answers",
    "batch 8 needs at least 6 GB",
    "What is an inference?",
    "so many that none is left",
    "a mendicant",
    "heartbeats",
)


def in_page(text: str) -> list[str]:
    return [words for _, words, _ in findings(prose(text, ".md"))]


@pytest.mark.parametrize("text", FOUND)
def test_a_phrase_of_the_list_is_found(text: str) -> None:
    assert in_page(text)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_a_similar_phrase_is_not_found(text: str) -> None:
    assert in_page(text) == []


def test_every_pattern_of_the_list_has_an_example_here() -> None:
    assert [use for pattern, use in rules() if not any(pattern.search(text) for text in FOUND)] == []


def test_code_is_not_searched() -> None:
    assert in_page("The option `--tell` and https://example.org/beat\n\n```\ntell\n```\n") == []
    assert list(findings(prose("beat = tell(upkeep)\n", ".py"))) == []


def test_comments_docstrings_messages_and_test_names_are_searched_with_their_lines() -> None:
    text = (
        '"""A module.\n\nIt tells."""\n# each beat of it\nx = "the upkeep of x"\ny = f"begin {x} anew now"\n'
        "def test_the_judge_is_right(): ...\n"
    )
    found = list(findings(prose(text, ".py")))
    assert [(number, words) for number, words, _ in found] == [
        (3, "tells"),
        (4, "beat"),
        (5, "upkeep"),
        (6, "anew"),
        (7, "judge"),
    ]


def test_the_files_are_the_pages_and_the_python_of_the_project(request: pytest.FixtureRequest) -> None:
    root = request.config.rootpath
    assert root / "docs/cost.md" in files([root / "docs"])
    assert {file.suffix for file in files([])} == {".py", ".md"}
    assert {root / "README.md", root / "agent/cli/main.py", root / "tests/conftest.py"} <= set(files([]))
    assert files([root / "tests/fixtures"]) == files([root / "docs/_build"]) == files([root / ".venv"]) == []
