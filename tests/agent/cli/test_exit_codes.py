"""Exit codes and errors of all commands: one table, one form, and no traceback for any number."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest

from agent.runtime.console import ExitCode, print_error, printable, printable_line, report_errors_as_json
from agent.runtime.signals import exit_line
from command import ROOT, call
from command_tree import LEAVES, commands_of
from stored import SECOND_NS, record

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8")
WITHOUT_JSON = {
    *("campaign facts", "campaign init", "config init", "daemon", "fleet sql", "service install", "service uninstall"),
    "tariff init",
}
"""Commands without a report: they write a file, run until they are stopped, or print each file they write."""
ABSURD = ("0", "-1", "nan", "inf", "-inf", "1e308", "1e400", "9" * 400, "9" * 5000, "", "x", "\x1b[31m", "½", "0x10")
NEEDED = {
    "profile onnx": ("--model", "model.onnx"),
    "profile idle": ("--path.sysfs", "/proc/none", "--no-estimates"),
    "db backup": ("copy.db",),
    "profiles delete": ("none",),
    "profiles list": ("--path.sysfs", "none"),
    "profiles tag": ("none", "name"),
}
"""The arguments that each command needs to pass its numbers, and to fail then."""
MEASURES = re.compile(r"\d|WHEN|AGE|SIZE|SHARE|TIME|N,N|N$|NUMBER|SECONDS|PRICE|YEARS")
"""The metavars of numbers."""


def numeric_options() -> list[tuple[str, str]]:
    """Return each command with each of its options for a number, a time, a share or a size."""
    return [
        (words, parameter.opts[0])
        for words in LEAVES
        for parameter in commands_of()[words].params
        if parameter.opts[0].startswith("--") and MEASURES.search(parameter.metavar or "")
    ]


def test_the_documented_table_matches_the_code() -> None:
    rows = {int(code): name for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE)}
    assert rows == {code.value: code.name for code in ExitCode}


@pytest.mark.parametrize("words", LEAVES)
def test_an_unknown_option_is_one_error_with_its_name_and_the_help(tmp_path: Path, words: str) -> None:
    result = call(tmp_path, *words.split(), "--qqq")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: there is no option --qqq; see `inferometer {words} --help`\n"


@pytest.mark.parametrize("words", [words for words in LEAVES if words not in WITHOUT_JSON])
def test_every_reporting_command_has_json_and_then_prints_errors_as_json(tmp_path: Path, words: str) -> None:
    assert any("--json" in parameter.opts for parameter in commands_of()[words].params)
    result = call(tmp_path, *words.split(), "--json", "--nonsense")
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    error = json.loads(result.stderr)["error"]
    assert (error["kind"], error["exit_code"]) == ("usage", 2)
    assert "--nonsense" in error["message"]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (("devcies",), "Did you mean 'devices'?"),
        (("profile", "transfromer"), "Did you mean 'transformer'?"),
        (("devices", "--jsno"), "did you mean --json?"),
        (("profiles", "exprot"), "Did you mean 'export'?"),
        (("service", "instal"), "'install'"),
    ],
)
def test_an_unknown_word_is_refused_with_the_most_similar_one(
    tmp_path: Path, line: tuple[str, ...], meant: str
) -> None:
    result = call(tmp_path, *line)
    assert result.returncode == 2
    assert result.stderr.startswith(("error: no such command ", "error: there is no option "))
    assert meant in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [words for words in commands_of() if words not in LEAVES])
def test_a_group_without_a_command_shows_its_help_and_ends_with_2(tmp_path: Path, words: str) -> None:
    result = call(tmp_path, *words.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no command is given:\n")
    assert "Usage: inferometer" in result.stderr


def test_a_failure_is_json_with_json_and_text_without(tmp_path: Path) -> None:
    text = call(tmp_path, "db", "status")
    found = call(tmp_path, "db", "status", "--json")
    assert (text.returncode, found.returncode, found.stdout) == (1, 1, "")
    error = json.loads(found.stderr)["error"]
    assert (error["kind"], error["exit_code"]) == ("failure", 1)
    assert text.stderr == f"error: {error['message']}\n"
    assert "there is no database here yet" in error["message"]


def test_json_of_the_measured_command_does_not_apply_to_measure(tmp_path: Path) -> None:
    result = call(tmp_path, "--config", "none.toml", "measure", "--", "true", "--json")
    assert result.stderr.startswith("error: none.toml: it cannot be read")


@pytest.mark.parametrize(("words", "option"), [pytest.param(*each, id=" ".join(each)) for each in numeric_options()])
def test_an_absurd_number_is_accepted_or_refused_with_its_option(tmp_path: Path, words: str, option: str) -> None:
    """Nothing is measured: an accepted number fails at the store, or at another invalid option."""
    (tmp_path / "model.onnx").write_bytes(b"garbage")
    needed = NEEDED.get(words, ())
    for value in ABSURD:
        if (words, option) == ("measure", "--tolerance"):
            needed = ("--duration", "-5")
        result = call(tmp_path, *words.split(), "--database", "/proc/none/x.db", *needed, f"{option}={value}")
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert result.returncode in {1, 2}, (value, result.stderr)
        assert len(errors) == 1, (value, result.stderr)
        assert "Traceback" not in result.stderr
        assert "\x1b" not in result.stderr
        assert len(result.stderr) < 12_000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("measure", "--duration", "nan"), "--duration"),
        (("measure", "--duration", "0"), "--duration"),
        (("samples", "--since", "2099-01-01T00:00:00Z"), "--since: 2099-01-01T00:00:00Z is in the future"),
        (("db", "prune", "--larger-than", "9" * 400 + "GB"), "--larger-than: 999"),
        (("db", "prune", "--older-than", "99999999w"), "--older-than: 99999999w is too long; give at most 36500d"),
        (
            ("profile", "transformer", "--window-seconds", "nan"),
            "--window-seconds: nan is not a finite number",
        ),
        (("profile", "transformer", "--batch", "9" * 5000), "is not a list of whole numbers from 1 to"),
    ],
)
def test_a_value_out_of_range_is_refused_with_option_and_range(
    tmp_path: Path, line: tuple[str, ...], words: str
) -> None:
    record(tmp_path, [1_700_000_000 * SECOND_NS])
    result = call(tmp_path, *line)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--database . profiles list", "this is a folder"),
        ("--database text.json profiles list", "the file is not a SQLite database"),
        ("--database text.json db upgrade", "the file is not a SQLite database"),
        ("--database text.json/x.db db status", "it cannot be reached"),
        ("--database text.json profile import text.json", "the file is not a SQLite database"),
        ("--database mysql://h/d samples", "a store is a SQLite file or a PostgreSQL database"),
        ("fleet query SQL --from none", "this is not a directory"),
        ("fleet push --to none", "this is not a directory"),
        ("fleet pull --from text.json", "this is not a directory"),
        ("report --fleet none --format md", "this is not a directory"),
        ("compare --fleet none", "this is not a directory"),
        ("profile import none.json", "it cannot be read (No such file or directory)"),
        ("profile import .", "this is not a file"),
        ("profiles show ./none.json", "it cannot be read (No such file or directory)"),
        ("db backup none/copy.db", "its folder cannot be used"),
    ],
)
def test_an_unusable_path_ends_the_command_with_2(tmp_path: Path, line: str, message: str) -> None:
    record(tmp_path, [1_700_000_000 * SECOND_NS])
    (tmp_path / "text.json").write_text("{}" * 1000)
    result = call(tmp_path, *line.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("line", ["--database typo.db profiles show", "--database typo.db samples", "profiles show x"])
def test_a_store_or_a_profile_that_does_not_exist_yet_is_a_failure(tmp_path: Path, line: str) -> None:
    assert call(tmp_path, *line.split()).returncode == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--database", "--database: '' is not the path or the URL of a database"),
        ("--path.sysfs", "path.sysfs = '': there is no such folder"),
        ("--path.procfs", "path.procfs = '': there is no such folder"),
    ],
)
def test_an_empty_path_is_refused_by_the_name_of_its_option(tmp_path: Path, option: str, message: str) -> None:
    for line in ((option, "", "profiles", "list"), ("profiles", "list", f"{option}=")):
        result = call(tmp_path, *line)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {message}")


# --- control characters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± µ 数\ttab\nline", "plain ± µ 数\ttab\nline"),
        ("\x1b[31mred\x07\x00", r"\x1b[31mred\x07\x00"),
        ("\x9b31m\u202eevil\u2066\u200f", r"\x9b31m\u202eevil\u2066\u200f"),
        ("\udcff\ud800", r"\xff\ud800"),
        ("over\rwritten", r"over\x0dwritten"),
    ],
)
def test_control_characters_of_terminals_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable_line(text) == shown.replace("\t", "\\t").replace("\n", "\\n")


def test_an_error_is_one_json_object_only_if_json_is_requested(capsys: pytest.CaptureFixture[str]) -> None:
    report_errors_as_json(True)
    try:
        print_error("two\nlines \x1b", ExitCode.USAGE)
    finally:
        report_errors_as_json(False)
    print_error("two\nlines \x1b")
    first, *rest = capsys.readouterr().err.splitlines()
    assert json.loads(first) == {"error": {"kind": "usage", "exit_code": 2, "message": "two\nlines \x1b"}}
    assert rest == ["error: two", r"lines \x1b"]


def test_with_json_the_line_of_a_command_that_a_signal_ends_is_an_object() -> None:
    assert exit_line(signal.SIGTERM) == "terminated"
    report_errors_as_json(True)
    try:
        found = json.loads(exit_line(signal.SIGTERM))
    finally:
        report_errors_as_json(False)
    assert found == {"error": {"kind": "interrupted", "exit_code": 143, "message": "terminated"}}
