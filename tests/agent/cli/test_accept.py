"""`inferometer accept`: verdicts as text and JSON, exit codes, and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.profiling.document.codec import to_json
from command import ROOT, call
from compared_documents import profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "p.json").write_text(to_json(profile(tariff=None)), encoding="utf-8")
    return tmp_path


def spec(home: Path, text: str) -> str:
    (home / "spec.toml").write_text(text, encoding="utf-8")
    return "spec.toml"


@pytest.mark.parametrize(("limit", "code", "verdict"), [(1e9, 0, "met"), (0.0, 5, "missed"), (3.9, 6, "undecided")])
def test_the_exit_code_is_the_verdict(home: Path, limit: float, code: int, verdict: str) -> None:
    claims = spec(home, f'name = "Offer"\n[[claim]]\nmetric = "watts_busy"\nat_most = {limit}\n')
    done = call(home, "accept", "p.json", "--spec", claims)
    assert done.returncode == code
    assert done.stdout.startswith(f"Offer: {verdict}. ")
    found = json.loads(call(home, "accept", "p.json", "--spec", claims, "--json").stdout)
    assert (found["verdict"], found["claims"][0]["metric"]) == (verdict, "watts_busy")


def test_the_example_runs_with_a_tariff(home: Path) -> None:
    example = ROOT / "docs/acceptance.example.toml"
    done = call(home, "accept", "p.json", "--spec", example)
    assert done.returncode == 6
    assert "the profile has no prices" in done.stdout
    priced = call(home, "accept", "p.json", "--spec", example, "--tariff", ROOT / "docs/tariff.example.toml")
    assert "cost_per_million_output_tokens  met" in priced.stdout
    assert "ttft_p99_seconds: the profile has no point rate=8" in priced.stdout


def test_wrong_files_are_refused_by_name(home: Path) -> None:
    example = ROOT / "docs/acceptance.example.toml"
    for words, message in (
        (("p.json", "--spec", "nowhere.toml"), "nowhere.toml: it cannot be read"),
        (("p.json", "--spec", spec(home, "claim = 3")), "spec.toml: a file of claims has from 1 to 1000"),
        (
            ("p.json", "--spec", example, "--tariff", "spec.toml"),
            "spec.toml: unknown key",
        ),
    ):
        done = call(home, "accept", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {message}")
