"""`inferometer compare`: the text of a comparison, JSON, tariffs, mixes, accuracies, and refusals."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from agent.profiling.document.codec import to_json
from command import ROOT, call
from compared_documents import profile, runs

if TYPE_CHECKING:
    from pathlib import Path

    from agent.profiling.records import Document

GOLDEN = ROOT / "tests/golden/comparison.txt"
LM_EVAL = ROOT / "tests/fixtures/lm_eval"
TARIFF = 'currency = "EUR"\nprice_per_kwh = 0.25\npue = 1\ncapital = 8760\nlife_years = 1\nutilization = 0.5\n'


def written(folder: Path, *documents: Document) -> list[str]:
    for document in documents:
        (folder / f"{document.id}.json").write_text(to_json(document), encoding="utf-8")
    return [f"{document.id}.json" for document in documents]


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return written(tmp_path, profile(0, tariff=None), profile(1, precision="int8", speed=2.0, tariff=None))


def test_the_text_of_a_comparison_is_the_golden_one(tmp_path: Path) -> None:
    """After an intended change: INFEROMETER_WRITE_GOLDEN=1 pytest, then read the difference."""
    names = written(
        tmp_path, *runs(3), *runs(3, 10, precision="int8", energy=0.5, speed=1.2), profile(20, precision="q4")
    )
    done = call(
        tmp_path,
        "compare",
        *names,
        "--accuracy",
        LM_EVAL / "results.json",
        *(["--accuracy", LM_EVAL / "results.json"] * 2),
    )
    assert (done.returncode, done.stderr) == (0, "")
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        GOLDEN.write_text(done.stdout, encoding="utf-8")
    assert done.stdout == GOLDEN.read_text(encoding="utf-8")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_comparison_as_json_has_every_metric(tmp_path: Path, pair: list[str]) -> None:
    found = json.loads(call(tmp_path, "compare", *pair, "--json").stdout)
    assert [each["name"] for each in found["setups"]] == ["fp32", "int8"]
    metrics = {row["metric"]: row for row in found["points"][0]["metrics"]}
    assert metrics["inferences_per_second"]["cells"][1]["difference"]["ratio"] == pytest.approx(2)
    assert found["currency"] is None


def test_tariffs_price_all_groups_or_each(tmp_path: Path, pair: list[str]) -> None:
    (tmp_path / "a.toml").write_text(TARIFF, encoding="utf-8")
    (tmp_path / "b.toml").write_text(TARIFF.replace("8760", "87600"), encoding="utf-8")
    both = json.loads(call(tmp_path, "compare", *pair, "--tariff", "a.toml", "--json").stdout)
    assert both["cost_basis"] == "allocation basis, energy and capital"
    assert both["cheapest_by_load"]["ranges"][-1]["cheapest"] == "B"
    each = json.loads(call(tmp_path, "compare", *pair, "--tariff", "a.toml", "--tariff", "b.toml", "--json").stdout)
    assert each["cheapest_by_load"]["ranges"][0]["cheapest"] == "A"
    three = call(tmp_path, "compare", *pair, *["--tariff", "a.toml"] * 3)
    assert three.stderr.startswith(
        "error: --tariff: give one for all groups, or one for each of the 2 (A: fp32, B: int8)"
    )
    assert "this is not TOML" in call(tmp_path, "compare", *pair, "--tariff", pair[0]).stderr


def test_a_demand_prints_the_cheapest_mix(tmp_path: Path, pair: list[str]) -> None:
    (tmp_path / "a.toml").write_text(TARIFF, encoding="utf-8")
    done = call(tmp_path, "compare", *pair, "--tariff", "a.toml", "--demand", "200/s")
    assert done.stdout.startswith("2 x B serve 200 inferences/s for 2.00 EUR an hour")
    assert "With machines of one setup alone, EUR an hour: A 4.00, B 2.00." in done.stdout
    found = json.loads(call(tmp_path, "compare", *pair, "--tariff", "a.toml", "--demand", "200/s", "--json").stdout)
    assert [(part["setup"], part["count"]) for part in found["parts"]] == [("B", 2)]
    unpriced = call(tmp_path, "compare", *pair, "--demand", "200/s")
    assert unpriced.returncode == 1
    assert "no prices are given" in unpriced.stderr
    missed = call(tmp_path, "compare", *pair, "--tariff", "a.toml", "--demand", "1/s", "--slo", "ttft=1s")
    assert "--find-max" in missed.stderr


def test_forced_comparisons_and_mixes_are_marked(tmp_path: Path) -> None:
    names = written(tmp_path, profile(0), profile(1, precision="int8", source="estimated"))
    refused = call(tmp_path, "compare", *names)
    assert refused.returncode == 2
    assert "--force compares them and marks the result:\n  - the source of the energy differs" in refused.stderr
    forced = "Forced, not comparable: the source of the energy differs: A has measured, B has estimated."
    assert forced in " ".join(call(tmp_path, "compare", *names, "--force").stdout.split())
    assert call(tmp_path, "compare", *names, "--demand", "1/s").returncode == 2
    assert forced in " ".join(call(tmp_path, "compare", *names, "--demand", "1/s", "--force").stdout.split())


def test_joules_of_a_correct_answer_come_from_the_measurement(tmp_path: Path, pair: list[str]) -> None:
    accuracy = ["--accuracy", LM_EVAL / "results.json"] * 2
    measured = ["--accuracy-energy", LM_EVAL / "measure.json"] * 2
    done = call(tmp_path, "compare", *pair, *accuracy, *measured)
    assert "A  smollm2  54.2 ± 10 %         24  26.9 (9.58 to" in done.stdout
    assert "give --accuracy-energy" in call(tmp_path, "compare", *pair, *accuracy).stdout.replace("\n  ", " ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--slo ttft=1s", "--slo and --attainment are limits of a mix: give --demand too"),
        ("--demand many", "--demand: 'many' is not a demand"),
        ("--by host", "--by: 'host' is not one of"),
        ("--by setup --accuracy nowhere.json", "--accuracy: give one for each of the 2 groups, in their order"),
        ("--accuracy a.toml --accuracy a.toml", "a.toml: it is not a results file of lm-evaluation-harness"),
        ("--accuracy-energy a.toml", "--accuracy-energy: give one for each --accuracy, in their order"),
        ("--accuracy nowhere.json --accuracy nowhere.json", "nowhere.json: it cannot be read"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, pair: list[str], words: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(TARIFF, encoding="utf-8")
    done = call(tmp_path, "compare", *pair, *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")


def test_profiles_without_a_load_in_common_cannot_be_forced(tmp_path: Path, pair: list[str]) -> None:
    done = call(tmp_path, "compare", pair[0], ROOT / "docs/serving.example.json", "--force")
    assert done.returncode == 2
    assert done.stderr.startswith("error: these profiles cannot be compared: no load is in two setups: A has batch=1")


def test_commas_form_groups(tmp_path: Path) -> None:
    names = written(tmp_path, *runs(6))
    done = call(tmp_path, "compare", ",".join(names[:3]), ",".join(names[3:]), "--json")
    assert [len(each["profiles"]) for each in json.loads(done.stdout)["setups"]] == [3, 3]
    refused = call(tmp_path, "compare", ",".join(names[:3]), names[3], "--by", "date")
    assert refused.stderr.startswith("error: --by forms groups, and the commas between profiles do too")


def test_one_profile_or_a_repeated_one_is_refused(tmp_path: Path, pair: list[str]) -> None:
    assert "needs two groups of profiles" in call(tmp_path, "compare", pair[0]).stderr
    assert "is given twice" in call(tmp_path, "compare", pair[0], pair[0]).stderr
