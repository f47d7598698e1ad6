"""The options of all commands: their metavars, lists given several times, and the errors of wrong values."""

from __future__ import annotations

import re
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import pytest

from agent.cli.arguments import GLOBAL_OPTIONS
from agent.cli.workload_options import requested
from agent.runtime.numbers import range_text, real_number, whole_number
from agent.workloads import registry
from agent.workloads.parameter import Parameter, parameters_of
from command import call
from command_tree import LEAVES, commands_of

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = commands_of()
OF_THE_PARSER = re.compile(r"<[a-z]|range>|[<>]=|valid (int|float|bool)|invalid value|no such option|requires an argum")
"""Words of the parser, which users would not understand."""


def options(words: str) -> list[Any]:
    return [each for each in COMMANDS[words].params if each.param_type_name == "option"]


NUMBERS = [
    (words, max(each.opts, key=len))
    for words in LEAVES
    for each in options(words)
    if each.metavar in {"N", "NUMBER", "SECONDS", "PRICE", "YEARS"}
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_with_a_value_names_it(tmp_path: Path, words: str) -> None:
    for each in options(words):
        assert each.is_flag or each.metavar, each.opts
    shown = call(tmp_path, *words.split(), "--help").stdout
    assert not OF_THE_PARSER.search(shown)
    assert not re.search(r"\.0\]", shown)  # a whole number has no point


def required(words: str, model: Path) -> list[str]:
    """Return the words that a command requires, so that it reads the option under test."""
    model.touch()
    values = {"model": str(model), "url": "http://127.0.0.1:8000"}
    return [
        word
        for each in COMMANDS[words].params
        if each.required and each.name != "program"
        for word in (*each.opts[: each.param_type_name == "option"], values.get(each.name, "any"))
    ]


@pytest.mark.parametrize(("words", "option"), NUMBERS)
def test_every_number_is_refused_in_the_same_words(tmp_path: Path, words: str, option: str) -> None:
    given = (*words.split(), *required(words, tmp_path / "model.onnx"))
    program = ("true",) if words == "profile command" else ()
    done = call(tmp_path, *given, option, "x", *program)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(f"error: {option}: 'x' is not a (whole )?number; see `inferometer {words}", done.stderr)
    below = call(tmp_path, *given, option, "-7", *program).stderr
    assert re.match(f"error: {option}: -7(.0)? is out of range: ", below)
    assert not OF_THE_PARSER.search(done.stderr + below)


def test_at_least_twenty_options_take_a_number() -> None:
    assert len(NUMBERS) > 20


@pytest.mark.parametrize("option", [name for name in GLOBAL_OPTIONS if len(name) > 8])
def test_a_typo_in_a_shared_option_suggests_it(tmp_path: Path, option: str) -> None:
    for line in ((option[:-1] + "q", "devices"), ("devices", option[:-1] + "q")):
        done = call(tmp_path, *line)
        assert done.returncode == 2
        assert f"error: there is no option {option[:-1]}q; did you mean {option}? See `inferometer" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("profile onnx", "--model is missing"),
        ("profile onnx --model nowhere.onnx", "--model: nowhere.onnx does not exist; give the path of a file"),
        ("profile onnx --model .", "--model: . is not a regular file"),
        ("profiles tag", "ID is missing"),
        ("profiles list --limit", "--limit needs a value; see `inferometer profiles list --help`"),
        ("profile transformer --heads", "--heads needs a value; see `inferometer profile transformer --help`"),
        ("devices --json=1", "--json takes no value"),
        ("devices extra", "unexpected argument: extra"),
        ("samples --format xml", "--format: 'xml' is not one of"),
        ("measure --duration 0", "--duration: 0 is out of range: 0.1 to 31622400"),
    ],
)
def test_a_wrong_line_is_refused_by_the_name_of_its_option(tmp_path: Path, line: str, message: str) -> None:
    done = call(tmp_path, *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")


def takes_numbers(each: Parameter) -> bool:
    """Return whether a parameter is an option with a list of numbers."""
    try:
        return not each.declared.derived and each.parse_values("2") == (2,)
    except ValueError:
        return False


@pytest.mark.parametrize("name", registry.names())
def test_a_list_given_several_times_has_all_of_its_values(name: str, tmp_path: Path) -> None:
    """Lists with commas and repeated options are the same, for every sweepable parameter of every workload."""
    model = tmp_path / "model.onnx"
    model.touch()
    workload = registry.find(name)
    declared = parameters_of(workload.spec)
    defaults = {each.name: None if each.default is MISSING else each.default for each in declared}
    values = {**defaults, **{each.name: None for each in declared if each.sweepable or each.declared.parse}}
    required: dict[str, object] = {"model": model, "url": "http://127.0.0.1:8000"}
    required["program"] = ["any"]
    values |= {
        each.name: required[each.name] for each in declared if each.default is MISSING and not each.declared.parse
    }
    values |= {each.name: [str(model)] for each in declared if each.declared.keys_are_axis}
    swept = [each.name for each in declared if each.sweepable and takes_numbers(each)]
    assert swept or name in {"command", "stream"}  # the user names the first one's, the other has words
    for each in swept:
        omitted = values.keys() - {each, *required}
        _, axes = requested(workload, {**values, each: ["2", "4,8"]}, omitted)
        assert axes[each] == (2, 4, 8)
        assert requested(workload, {**values, each: ["2,4,8"]}, omitted)[1] == axes
    if "dims" in values:
        assert requested(workload, {**values, "dims": ["seq=2", "seq=4,8"]}, omitted)[1] == {"seq": (2, 4, 8)}


def test_a_scalar_given_twice_has_its_last_value(tmp_path: Path) -> None:
    line = ("profile", "transformer", "--tolerance", "x", "--layers")
    assert "--layers: 0 is out of range" in call(tmp_path, *line, "2", "--layers", "0").stderr
    assert "--heads: 0 is" in call(tmp_path, *line, "2", "--heads", "2", "--heads", "0").stderr
    assert "--tolerance: 'y' is" in call(tmp_path, *line, "2", "--tolerance", "y").stderr


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [(1, 1000, "1 to 1000"), (0.1, 86400.0, "0.1 to 86400"), (1, None, "1 or more"), (None, 9, "up to 9")],
)
def test_a_range_is_named_in_words(least: float | None, most: float | None, words: str) -> None:
    assert range_text(least, most) == words
    beyond = [each for each in (least and least - 1, most and most + 1) if each is not None]
    for number in beyond:
        with pytest.raises(ValueError, match=f"is out of range: {words}"):
            real_number(number, least, most)


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "٣", "9" * 5000])
def test_a_text_that_is_not_a_whole_number_is_refused_and_shortened(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number") as refused:
        whole_number(text)
    assert len(str(refused.value)) < 80


def test_numbers_are_read_with_spaces_and_signs() -> None:
    assert (whole_number(" 12 ", 1, 12), whole_number("+3"), real_number("1e3")) == (12, 3, 1000.0)
