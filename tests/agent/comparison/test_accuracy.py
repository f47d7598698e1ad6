"""Results of lm-evaluation-harness: a real file, its energy, and the reasons against joules per correct answer."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from agent.comparison.accuracy import quality
from agent.comparison.lm_eval import AccuracyError, TaskAccuracy, read_evaluation, read_measurement
from agent.comparison.setups import group
from agent.cost.interval import Interval
from command import ROOT
from compared_documents import PRICES, profile

FOLDER = ROOT / "tests/fixtures/lm_eval"
RESULTS = (FOLDER / "results.json").read_text(encoding="utf-8")
MEASURE = (FOLDER / "measure.json").read_text(encoding="utf-8")
EVALUATION, ENERGY = read_evaluation(RESULTS), read_measurement(MEASURE)
SETUPS = group([profile(0), profile(1, precision="int8")])


def changed(text, **fields):
    return json.dumps({**json.loads(text), **fields})


def first(evaluation=EVALUATION, energy=ENERGY, setups=SETUPS):
    found, _ = quality(setups, [evaluation] * 2, [] if energy is None else [energy] * 2)
    return found[0]


def test_a_real_result_has_the_accuracy_of_its_task_with_its_standard_error() -> None:
    (task,) = EVALUATION.tasks
    assert (task.task, task.metric, task.questions, task.shots) == ("one_digit_sums", "exact_match,last-number", 24, 0)
    assert task.accuracy == pytest.approx(13 / 24)
    assert task.standard_error == pytest.approx((13 / 24 * 11 / 24 / 23) ** 0.5)
    assert (EVALUATION.model, EVALUATION.server, EVALUATION.remote, EVALUATION.cached) == (
        "smollm2",
        "127.0.0.1",
        False,
        False,
    )
    assert len(task.task_hash) == 64


def test_joules_of_a_correct_answer_are_the_measured_energy_over_the_correct_answers() -> None:
    found = first()
    assert found.refused is None
    assert found.energy_source == "estimated"
    joules, error = found.joules_per_correct_answer, EVALUATION.standard_error
    assert joules.mean == pytest.approx(ENERGY.total.joules / 13)
    assert joules.lower == pytest.approx(ENERGY.total.lower / 24 / (13 / 24 + 1.96 * error))
    assert joules.upper == pytest.approx(ENERGY.total.upper / 24 / (13 / 24 - 1.96 * error))
    hours = ENERGY.duration_seconds / 3600
    assert found.cost_per_correct_answer.mean == pytest.approx((ENERGY.total.joules / 3.6e6 * 0.25 + hours) / 13)


def test_without_prices_of_energy_and_machine_a_correct_answer_has_no_cost() -> None:
    for tariff in (None, structs.replace(PRICES, price_per_kwh=None), structs.replace(PRICES, capital=None)):
        setups = group([profile(0, tariff=tariff), profile(1, precision="int8")])
        assert first(setups=setups).cost_per_correct_answer is None


def test_without_a_measurement_the_reasons_against_a_derivation_from_tokens_are_named() -> None:
    text = first(energy=None).refused
    assert "give --accuracy-energy" in text
    assert text.endswith("the profile lacks the hash of the model, the template of the prompts")
    plain = profile(0)
    workload = structs.replace(plain.workload, model_sha256="00")
    points = [structs.replace(each, energy=structs.replace(each.energy, phases=())) for each in plain.points]
    setups = group([structs.replace(plain, workload=workload, points=tuple(points)), profile(1)])
    assert first(energy=None, setups=setups).refused.endswith(
        "the profile lacks a split of the energy into input and output tokens, the template of the prompts"
    )


@pytest.mark.parametrize(
    ("evaluation", "energy", "reason"),
    [
        ({}, {"total": {**json.loads(MEASURE)["total"], "joules": None}}, "has no total"),
        ({}, {"exit_code": 1}, "command failed"),
        ({}, {"total": {**json.loads(MEASURE)["total"], "boundary": "package"}}, "another boundary"),
        ({}, {"total": {**json.loads(MEASURE)["total"], "includes": []}}, "other sensors"),
        ({"config": {"model_args": "base_url=http://gpu:8000/v1,model=m"}}, {}, "server gpu that answered is not"),
        ({"config": {"use_cache": "cache.db"}}, {}, "use_cache"),
        ({"date": json.loads(RESULTS)["date"] - 3600}, {}, "not measured while these questions ran"),
        ({"total_evaluation_time_seconds": "3600"}, {}, "not measured while these questions ran"),
        ({"date": None}, {}, "not measured while these questions ran"),
        ({}, {"exit_code": None, "duration_seconds": 30.0}, "not measured while these questions ran"),
    ],
)
def test_an_indefensible_energy_is_refused_with_its_reason(evaluation, energy, reason) -> None:
    found = first(read_evaluation(changed(RESULTS, **evaluation)), read_measurement(changed(MEASURE, **energy)))
    assert reason in found.refused
    assert (found.joules_per_correct_answer, found.cost_per_correct_answer, found.energy_source) == (None, None, None)


def test_a_measured_period_must_contain_the_evaluation() -> None:
    period = read_measurement(changed(MEASURE, exit_code=None, duration_seconds=600.0))
    assert first(energy=period).refused is None


def test_no_correct_answer_has_no_cost_and_an_unknown_error_no_interval() -> None:
    (task,) = EVALUATION.tasks
    wrong = structs.replace(EVALUATION, tasks=(structs.replace(task, accuracy=0.0),))
    assert first(wrong).refused == "no answer is correct"
    unknown = structs.replace(EVALUATION, tasks=(structs.replace(task, standard_error=None),))
    mean = first().joules_per_correct_answer.mean
    assert first(unknown).joules_per_correct_answer == Interval(mean)
    rough = structs.replace(EVALUATION, tasks=(structs.replace(task, standard_error=0.4),))
    assert first(rough).joules_per_correct_answer.upper is None
    unbounded = structs.replace(ENERGY, total=structs.replace(ENERGY.total, lower=None, upper=None))
    assert first(energy=unbounded).joules_per_correct_answer.lower is None


def test_several_tasks_count_by_their_questions_and_groups_do_not_count_twice() -> None:
    found = read_evaluation(
        changed(
            RESULTS,
            results={
                "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.1},
                "history": {"alias": " - history", "acc,none": 0.75, "acc_stderr,none": 0.2},
                "art": {"acc,none": 0.25, "acc_stderr,none": "N/A", "acc_norm,none": 0.3},
                "story": {"bleu,none": 0.9},
                "odd": {"acc,none": 7.0},
                "uncounted": {"acc,none": 0.5},
            },
            **{
                "group_subtasks": {"mmlu": ["history", "art"], "history": []},
                "n-samples": {
                    name: {"effective": 30 if name == "art" else 10} for name in ("history", "art", "odd", "mmlu")
                },
            },
        )
    )
    assert [task.task for task in found.tasks] == ["history", "art"]
    assert (found.questions, found.accuracy, found.standard_error) == (40, pytest.approx(0.375), None)
    assert found.tasks[1] == TaskAccuracy("art", "acc,none", 0.25, None, 30, None, None)
    known = structs.replace(found, tasks=found.tasks[:1])
    assert known.standard_error == pytest.approx(0.2)


def test_the_model_and_its_precision_come_from_the_arguments_of_older_versions() -> None:
    found = read_evaluation(changed(RESULTS, model_name="", config={"model_args": "pretrained=gpt2,dtype=float16"}))
    assert (found.model, found.precision, found.server) == ("gpt2", "float16", None)
    assert read_evaluation(changed(RESULTS, model_name=None, config={"model": "dummy"})).model == "dummy"


def test_different_tasks_are_not_compared() -> None:
    (task,) = EVALUATION.tasks
    other = structs.replace(EVALUATION, tasks=(structs.replace(task, questions=12),))
    assert "not comparable" in quality(SETUPS, [EVALUATION, other], [])[1][0]
    assert quality(SETUPS, [EVALUATION, EVALUATION], [])[1] == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"results": {}, "config": []}', "[" * 100_000, '{"results": {"a": {}}, "config": {}}']
)
def test_other_files_are_refused(text) -> None:
    with pytest.raises(AccuracyError, match=r"not a results file|no task has"):
        read_evaluation(text)
    with pytest.raises(AccuracyError, match="not the output of"):
        read_measurement(text)


def test_strange_numbers_are_unknown() -> None:
    strange = changed(RESULTS, date=True, total_evaluation_time_seconds="soon")
    found = read_evaluation(strange)
    assert (found.started, found.seconds) == (None, None)
    assert read_evaluation(changed(RESULTS, date="inf")).started is None
    assert read_evaluation(RESULTS.replace("0.10389", 'NaN, "unused": 0.0')).tasks[0].standard_error is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_ns": -1},
        {"start_ns": 10**400},
        {"duration_seconds": 0.0},
        {"total": {**json.loads(MEASURE)["total"], "joules": 1e300}},
        {"total": {**json.loads(MEASURE)["total"], "lower": 1e6}},
        {"total": {**json.loads(MEASURE)["total"], "joules": -1.0}},
    ],
)
def test_impossible_energies_are_refused(wrong) -> None:
    with pytest.raises(AccuracyError, match="not the output of"):
        read_measurement(changed(MEASURE, **wrong))


def test_impossible_errors_and_numbers_of_questions_do_not_count() -> None:
    results = {"one_digit_sums": {"exact_match,none": 0.5, "exact_match_stderr,none": -3.0}}
    assert read_evaluation(changed(RESULTS, results=results)).tasks[0].standard_error is None
    for questions in (0, -1, 10**12, 2.5, "many"):
        with pytest.raises(AccuracyError, match="no task has"):
            read_evaluation(changed(RESULTS, **{"n-samples": {"one_digit_sums": {"effective": questions}}}))
