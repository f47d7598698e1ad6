"""The quality of setups, and the joules and the money of a correct answer where they are defensible; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.comparison.records import Quality
from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.comparison.lm_eval import Evaluation, MeasuredEnergy
    from agent.comparison.setups import Setup

_HALF = 1.96
"""The half-width of a 95 % interval in standard errors."""
_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600


def quality(
    setups: Sequence[Setup], evaluations: Sequence[Evaluation], energies: Sequence[MeasuredEnergy]
) -> tuple[tuple[Quality, ...], tuple[str, ...]]:
    """Return the quality of each setup by its evaluation, and notes; `energies` are one for each, or none."""
    measured: list[MeasuredEnergy | None] = [*energies] or [None] * len(evaluations)
    found = tuple(map(_quality, setups, evaluations, measured))
    return found, _notes(evaluations)


def _quality(setup: Setup, evaluation: Evaluation, energy: MeasuredEnergy | None) -> Quality:
    refused = _refused(setup, evaluation, energy)
    total = None if refused or energy is None else energy.total
    joules = None if total is None or total.joules is None else Interval(total.joules, total.lower, total.upper)
    cost = None if joules is None or energy is None else _cost(setup, joules, energy)
    return Quality(
        setup=setup.label,
        model=evaluation.model,
        tasks=evaluation.tasks,
        questions=evaluation.questions,
        accuracy=evaluation.accuracy,
        standard_error=evaluation.standard_error,
        joules_per_correct_answer=None if joules is None else _per_correct(joules, evaluation),
        energy_source=None if total is None else total.source,
        cost_per_correct_answer=None if cost is None else _per_correct(cost, evaluation),
        refused=refused,
    )


def _refused(setup: Setup, evaluation: Evaluation, energy: MeasuredEnergy | None) -> str | None:
    """Return the reason against joules per correct answer, None without one."""
    if energy is None:
        return _no_measurement(setup)
    coverage, total = setup.first.coverage, energy.total
    sensors = {(each.device, each.domain) for each in coverage.includes}
    reasons = {
        "the measurement has no total": total.joules is None,
        "the measured command failed": energy.exit_code not in {None, 0},
        "the measurement has another boundary or other sensors than the profile": (
            total.boundary != coverage.boundary.value
            or {(each.get("device"), each.get("domain")) for each in total.includes} != sensors
        ),
        f"the server {evaluation.server} that answered is not the host that was measured": evaluation.remote,
        "answers may come from the cache of the harness (use_cache), which costs no inference": evaluation.cached,
        "the energy was not measured while these questions ran": not _covers(energy, evaluation),
        "no answer is correct": evaluation.accuracy * evaluation.questions < 1 / 2,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _no_measurement(setup: Setup) -> str:
    """Return the reasons against a derivation from tokens: the profile lacks the facts that it needs."""
    phases = [phase for point in setup.first.points if point.energy for phase in point.energy.phases]
    split = any(phase.joules_per_input_token for phase in phases) and any(
        phase.joules_per_output_token for phase in phases
    )
    absent = [] if split else ["a split of the energy into input and output tokens"]
    absent += [] if setup.first.workload.model_sha256 else ["the hash of the model"]
    absent.append("the template of the prompts")
    return (
        "the energy was not measured while these questions ran (give --accuracy-energy), and it cannot be derived from "
        f"tokens, as the profile lacks {', '.join(absent)}"
    )


def _covers(energy: MeasuredEnergy, evaluation: Evaluation) -> bool:
    """Return whether a measurement covers an evaluation.

    The harness states its start, and a duration that begins a little before it. A measured command that contains the
    start, and is as long, ran the evaluation to its end; a measured period must contain both.
    """
    if evaluation.started is None or evaluation.seconds is None:
        return False
    start, end = energy.start_ns / 1e9, energy.start_ns / 1e9 + energy.duration_seconds
    if energy.exit_code is None:
        return start <= evaluation.started and evaluation.started + evaluation.seconds <= end
    return start <= evaluation.started <= end and evaluation.seconds <= energy.duration_seconds


def _per_correct(amount: Interval, evaluation: Evaluation) -> Interval:
    """Return an amount of the whole evaluation over its correct answers.

    The bounds are the worst case of those of the amount and of the 95 % interval of the accuracy.
    """
    each, accuracy, error = amount.times(1 / evaluation.questions), evaluation.accuracy, evaluation.standard_error
    if error is None:
        return Interval(each.mean / accuracy)
    low, high = accuracy - _HALF * error, min(1.0, accuracy + _HALF * error)
    return Interval(
        each.mean / accuracy,
        None if each.lower is None else each.lower / high,
        None if each.upper is None or low <= 0 else each.upper / low,
    )


def _cost(setup: Setup, joules: Interval, energy: MeasuredEnergy) -> Interval | None:
    """Return the money of the whole evaluation; None without prices of energy and machine."""
    tariff = setup.first.tariff
    fixed = None if tariff is None else capital_per_hour(tariff)
    if tariff is None or fixed is None or tariff.energy_price is None:
        return None
    machine = Interval.exact(fixed * energy.duration_seconds / _SECONDS_PER_HOUR)
    return joules.times(tariff.energy_price * tariff.overhead / _JOULES_PER_KWH).plus(machine)


def _notes(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    tasks = [{(task.task, task.task_hash, task.shots, task.questions) for task in each.tasks} for each in evaluations]
    if all(each == tasks[0] for each in tasks[1:]):
        return ()
    return ("the evaluations differ in tasks, prompts or numbers of questions: their accuracies are not comparable",)
