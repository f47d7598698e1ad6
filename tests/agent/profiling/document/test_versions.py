"""Profile documents of every published schema version are read, later major versions refused."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from agent.profiling.document.codec import check
from agent.profiling.document.versions import ProfileError, parse
from agent.profiling.records import SCHEMA_VERSION
from published_schema import validate
from trees import FIXTURES

VERSIONS = ("1.0", "1.1", "2.0", "2.1")
OLD = {version: (FIXTURES / f"profiles/{version}.json").read_text(encoding="utf-8") for version in VERSIONS}


def numbers(value: Any) -> list[float]:
    """Return every number of a document but 0, in the order of size."""
    if isinstance(value, dict):
        return sorted(each for part in value.values() for each in numbers(part))
    if isinstance(value, list):
        return sorted(each for part in value for each in numbers(part))
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) and value else []


def supported(value: Any) -> Any:
    """Return a document without the percentiles of too few latencies."""
    if isinstance(value, list):
        return [supported(each) for each in value]
    if not isinstance(value, dict):
        return value
    fewest = {"p90": 29, "p95": 59, "p99": 299}
    return {
        name: None if fewest.get(name, 0) > value.get("count", 0) else supported(part) for name, part in value.items()
    }


@pytest.mark.parametrize("version", OLD)
def test_an_old_document_is_upgraded_to_the_present_schema(version: str) -> None:
    document = parse(OLD[version])
    assert document["schema_version"] == SCHEMA_VERSION
    check(document)
    validate(document)


@pytest.mark.parametrize("version", OLD)
def test_no_number_of_an_old_document_is_lost_or_changed(version: str) -> None:
    old, new = json.loads(OLD[version]), parse(OLD[version])
    added = [1, 2, 4, 8]  # the sweep, which was one text
    if version in {"2.0", "2.1"}:
        assert numbers(new) == numbers(old)
        return
    for point in old["points"]:  # the percentiles of pairs of prefill and decode that never ran
        point["latency_seconds"] = {"mean": sum(phase["latency_seconds"]["mean"] for phase in point["phases"])}
    if version == "1.0":  # the summary of the repeats that it did not have
        added += [each for point in new["points"] for each in numbers(point["energy"]["repeats"])]
    assert numbers(new) == sorted(numbers(supported(old)) + added)


def test_every_renamed_field_has_the_value_it_had() -> None:
    old, new = json.loads(OLD["1.1"]), parse(OLD["1.1"])
    before, after = old["points"][3], new["points"][3]
    assert after["parameters"] == {"batch": before["batch"]} == {"batch": 8}
    assert after["energy"]["joules_per_inference"] == before["energy"]["per_inference"]
    assert after["energy"]["joules_per_total_token"] == before["energy"]["per_token"]
    assert after["energy"]["repeats"]["upper"] == before["energy"]["repeats"]["high"]
    assert after["energy"]["sensors"][0]["in_total"] is before["energy"]["devices"][0]["counted"] is True
    assert after["energy"]["phases"][1]["joules_per_output_token"] == before["energy"]["phases"][1]["per_output_token"]
    assert after["power"]["mean_watts"] == before["power"]["mean"]
    assert after["convergence"]["relative_half_width"] == before["precision"]["half_width"]
    assert after["convergence"]["metric"] == "joules_per_inference"
    assert after["conditions"]["self_cpus"] == before["conditions"]["own_processors"]
    assert after["conditions"]["max_other_cpus"] == before["conditions"]["most_other_processors"]
    assert after["conditions"]["devices"][0]["start_frequency_hertz"] == 2445432000.0
    assert after["cost"]["missing"][0]["effect"] == before["cost"]["missing"][0]["without"]
    assert new["plan"]["sweep"] == {"batch": [1, 2, 4, 8]}
    assert new["plan"]["order_seed"] == old["effort"]["order_seed"]
    assert new["engine"]["threads"] is None  # 0 was the engine's own choice
    assert new["host"]["logical_cpus"] == old["host"]["cores"]
    assert new["workload"]["parameter_count"] == old["workload"]["parameters"]
    assert new["sampler"]["reads_late"] == old["sampler"]["beats_late"]
    assert new["coverage"]["relative_uncertainty"] == old["coverage"]["uncertainty"]
    total = old["baselines"][0]["power"][-1]
    assert (total["device"], new["baselines"][0]["watts"]) == ("total", total["watts"])


def test_checks_have_their_new_names_and_keep_their_results() -> None:
    old, new = json.loads(OLD["1.1"])["points"][0]["findings"], parse(OLD["1.1"])["points"][0]["checks"]
    names = {former["expectation"]: check["name"] for former, check in zip(old, new, strict=True)}
    assert {former: name for former, name in names.items() if former != name} == {
        "same_window": "window_matches_iterations",
        "sensors_moved": "sensors_not_stuck",
        "own_load_prevails": "workload_dominates",
        "not_stolen": "steal_time",
        "no_other_load": "background_load",
        "processors_cool": "cpu_not_throttled",
        "accelerators_free": "accelerators_idle_at_baseline",
    }
    assert [check["status"] == "passed" for check in new] == [former["passed"] for former in old]
    assert [check["severity"] == "invalid" for check in new] == [former["fatal"] for former in old]
    assert {check["message"] for check in new} == {former["message"] for former in old}


def test_a_point_without_energy_and_a_run_without_sweep_are_upgraded() -> None:
    old = deepcopy(json.loads(OLD["1.1"]))
    old["points"][0] |= {"energy": None, "power": None, "cost": None, "valid": False}
    old["points"][1]["cost"]["allocation"] = None
    del old["workload"]["settings"]["batches"]
    old["sampler"] = old["surroundings"]["end"] = None
    new = parse(json.dumps(old))
    check(new)
    validate(new)
    assert new["points"][0]["energy"] is None
    assert new["plan"]["sweep"] == {"batch": [1, 2, 4, 8]}
    assert new["host_state"]["after"] is None


@pytest.mark.parametrize("version", [SCHEMA_VERSION, "2.7"])
def test_a_document_of_this_major_version_is_read_as_it_is(version: str) -> None:
    document = {**parse(OLD["1.1"]), "schema_version": version, "later": True}
    assert parse(json.dumps(document)) == document


@pytest.mark.parametrize("version", ["3.0", "10.1"])
def test_a_later_major_version_is_refused_with_the_way_out(version: str) -> None:
    document = {**parse(OLD["1.1"]), "schema_version": version}
    with pytest.raises(ProfileError, match=rf"version is {version}, .* reads up to 2\.x: install a newer inferometer"):
        parse(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("{}", "`schema`"),
        ("[]", "`schema`"),
        ("[" * 100_000, "nested too deep"),
        ('{"schema": "inferometer.profile"}', "None is not a version"),
        ('{"schema": "inferometer.profile", "schema_version": "zzz"}', "'zzz' is not a version"),
        ('{"schema": "inferometer.profile", "schema_version": "1.1"}', "does not fit its schema version 1.1"),
        (OLD["1.1"].replace("0.61", "NaN"), "NaN is not a JSON number"),
    ],
)
def test_a_text_that_is_not_a_profile_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        parse(text)
