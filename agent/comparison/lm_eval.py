"""Reads the results of lm-evaluation-harness and the measurement of its energy; pure.

The format is that of `results_*.json` of lm_eval 0.4: `results` by task with `metric,filter` and
`metric_stderr,filter`, `n-samples`, `group_subtasks`, `config`, and `date`, the Unix time of the start.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeGuard
from urllib.parse import urlsplit

import msgspec

from agent.runtime.text_input import parser_fault

_SHARES = ("exact_match", "acc", "acc_norm", "pass@1", "pass_at_1", "em")
"""The metrics that are the share of correct answers; the first one that a task has counts."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_LONGEST_NAME = 100
_MOST_QUESTIONS = 1_000_000_000
_LONGEST_SECONDS = 1e9
_Joules = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
_NOT_A_RESULT = "it is not a results file of lm-evaluation-harness (results_*.json)"


class AccuracyError(ValueError):
    """A file that is not a result or a measurement; the message has the cause and the fix, not the file's name."""


class TaskAccuracy(msgspec.Struct, frozen=True):
    """The share of correct answers to the questions of one task, with its standard error (None: not given)."""

    task: str
    metric: str
    accuracy: float
    standard_error: float | None
    questions: int
    task_hash: str | None
    shots: int | None


class Evaluation(msgspec.Struct, frozen=True):
    """One evaluation. `started` is a Unix time in seconds, `seconds` its duration; None if the file has none.

    `server` is the host name of the server that answered, None if the model ran in the process of the evaluation.
    `cached` states whether answers may come from a cache.
    """

    model: str
    precision: str | None
    tasks: tuple[TaskAccuracy, ...]
    started: float | None
    seconds: float | None
    server: str | None
    cached: bool

    @property
    def questions(self) -> int:
        """The questions of all tasks."""
        return sum(task.questions for task in self.tasks)

    @property
    def accuracy(self) -> float:
        """The share of correct answers to all questions."""
        return sum(task.accuracy * task.questions for task in self.tasks) / self.questions

    @property
    def standard_error(self) -> float | None:
        """The standard error of `accuracy`; None if one of a task is unknown."""
        known = [task.standard_error * task.questions for task in self.tasks if task.standard_error is not None]
        return math.hypot(*known) / self.questions if len(known) == len(self.tasks) else None

    @property
    def remote(self) -> bool:
        """Whether a server on another host answered."""
        return self.server is not None and self.server not in _LOCAL


class MeasuredTotal(msgspec.Struct, frozen=True):
    """The total of a measurement in joules, with its boundary and its sensors."""

    joules: _Joules | None
    lower: _Joules | None
    upper: _Joules | None
    source: str | None
    boundary: str
    includes: tuple[dict[str, str], ...]

    def __post_init__(self) -> None:
        known = [value for value in (self.lower, self.joules, self.upper) if value is not None]
        if known != sorted(known):
            raise ValueError("the bounds of the energy are out of order")


class MeasuredEnergy(msgspec.Struct, frozen=True):
    """The output of `inferometer measure --json`, as far as it is needed; `exit_code` None: a period, no command."""

    start_ns: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    duration_seconds: Annotated[float, msgspec.Meta(gt=0, lt=_LONGEST_SECONDS)]
    exit_code: int | None
    total: MeasuredTotal


def read_evaluation(text: str) -> Evaluation:
    """Return an evaluation. Raises AccuracyError for another file, or one without a share of correct answers."""
    try:
        found = json.loads(text)  # it may contain NaN
    except (ValueError, RecursionError) as error:
        raise AccuracyError(f"{_NOT_A_RESULT}: {parser_fault(error)}") from error
    if not isinstance(found, dict):
        raise AccuracyError(_NOT_A_RESULT)
    results, config = found.get("results"), found.get("config")
    if not isinstance(results, dict) or not isinstance(config, dict):
        raise AccuracyError(_NOT_A_RESULT)
    groups = {name for name, tasks in _mapping(found, "group_subtasks").items() if tasks}
    tasks = [task for name in results if name not in groups and (task := _task(found, str(name)))]
    if not tasks:
        raise AccuracyError(f"no task has a share of correct answers ({', '.join(_SHARES)}) and a number of questions")
    arguments = config.get("model_args")
    arguments = arguments if isinstance(arguments, dict) else _arguments(str(arguments or ""))
    url = arguments.get("base_url")
    return Evaluation(
        model=str(
            found.get("model_name") or arguments.get("pretrained") or arguments.get("model") or config.get("model")
        )[:_LONGEST_NAME],
        precision=_text(config.get("model_dtype") or arguments.get("dtype")),
        tasks=tuple(tasks),
        started=_number(found.get("date")),
        seconds=_number(found.get("total_evaluation_time_seconds")),
        server=None if url is None else str(urlsplit(str(url)).hostname),
        cached=bool(config.get("use_cache")),
    )


def read_measurement(text: str) -> MeasuredEnergy:
    """Return a measurement. Raises AccuracyError for another file."""
    try:
        return msgspec.json.decode(text, type=MeasuredEnergy)
    except (ValueError, RecursionError) as error:
        raise AccuracyError(f"it is not the output of `inferometer measure --json`: {parser_fault(error)}") from error


def _task(found: dict[str, Any], name: str) -> TaskAccuracy | None:
    own = _mapping(_mapping(found, "results"), name)
    questions = _mapping(_mapping(found, "n-samples"), name).get("effective")
    for metric in _SHARES:
        key = next((each for each in own if each.split(",")[0] == metric), None)
        accuracy = None if key is None else _number(own[key])
        if key is None or accuracy is None or not 0 <= accuracy <= 1 or not _is_count(questions):
            continue
        error = _number(own.get(key.replace(metric, f"{metric}_stderr", 1)))
        error = None if error is None or not 0 <= error <= 1 else error
        hashed, shots = _mapping(found, "task_hashes").get(name), _mapping(found, "n-shot").get(name)
        return TaskAccuracy(
            name, key, accuracy, error, questions, _text(hashed), shots if isinstance(shots, int) else None
        )
    return None


def _is_count(questions: object) -> TypeGuard[int]:
    return isinstance(questions, int) and 1 <= questions <= _MOST_QUESTIONS


def _mapping(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _arguments(text: str) -> dict[str, str]:
    """Return the arguments of a model that older versions write as `name=value,name=value`."""
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


def _number(value: object) -> float | None:
    """Return a finite number, also one that is written as a text; lm_eval writes `N/A` for an unknown one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
