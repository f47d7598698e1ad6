"""Compares the pages with the command line: commands, options, variables and the generated reference."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from make_reference import commands as reference

from agent.cli.arguments import move_globals_first
from agent.cli.main import command_line
from agent.config.table import SETTINGS
from doc_pages import EXCERPT, FENCE, OUTPUT, PAGES, ROOT, SPAN, name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ROOT / "docs/commands.md"
CONFIGURATION = ROOT / "docs/configuration.md"
SETTINGS_PAGE = ROOT / "docs/settings.md"


@cache
def program() -> Any:
    """Return the parser of the command line, which takes a tenth of a second to build."""
    return typer.main.get_command(command_line())


@cache
def commands() -> dict[str, Any]:
    """Return every command that does something, by the words that call it."""
    found: dict[str, Any] = {}
    waiting = [("inferometer", program())]
    for words, command in waiting:
        inner = getattr(command, "commands", {})
        waiting += [(f"{words} {name}", each) for name, each in inner.items()]
        if not inner:
            found[words] = command
    return found


def groups() -> set[str]:
    """Return the words that call no command yet: `inferometer profile`."""
    return {words.rpartition(" ")[0] for words in commands()}


def shown_command_lines(page: Path) -> Iterator[str]:
    """Yield what a page shows of the command, from `inferometer` on: lines of its blocks, and spans of its text.

    A span that is a command's name alone stands for the command, and may lack what the command needs.
    """
    text = EXCERPT.sub("", OUTPUT.sub("", text_of(page)))
    blocks = "\n".join(FENCE.findall(text)).replace("\\\n", " ").splitlines()
    names = commands().keys() | groups()
    spans = [span for span in SPAN.findall(FENCE.sub("", text)) if span not in names]
    for line in [*blocks, *spans]:
        bare = re.sub(r"\s+#\s.*", "", line)
        match = re.match(r"(?:\$ )?(?:sudo )?(?:[^\s=]*/)?inferometer\s+(.+)", bare)
        if match and not match[1].startswith("="):
            yield match[1]


INSTALLED_BY_A_PAGE = "profile sorting"
"""The command of the package in docs/writing-a-workload.md; tests/test_docs_workload.py runs it."""
COMMAND_LINES = [
    (name_of(page), line)
    for page in PAGES
    for line in shown_command_lines(page)
    if not line.startswith(INSTALLED_BY_A_PAGE)
]


def parse(line: str) -> None:
    """Parse a command line as the program would, without running anything. Raises what the parser raises."""
    command, words = program(), move_globals_first(shlex.split(line))
    context = command.make_context("inferometer", words)
    while hasattr(command, "commands"):
        words = [*context._protected_args, *context.args]
        if not words and command.invoke_without_command:
            return
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, words, parent=context)


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_every_command_line_shown_can_be_typed(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for model in re.findall(r"[\w.-]+\.onnx", line):
        Path(model).touch()
    try:
        parse(line)
    except typer.Exit:
        pass  # --help and --version end the parsing
    except Exception as error:
        raise AssertionError(f"{page}: inferometer {line}: {error}") from error


def test_a_command_line_that_cannot_be_typed_is_found() -> None:
    for wrong in ("profile transfromer", "measure --seconds 3", "profile onnx", "devices --json extra"):
        with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
            parse(wrong)


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_command_is_in_the_table_of_commands_and_has_a_help_text(words: str) -> None:
    assert f"| `{words}` |" in text_of(COMMANDS)
    assert commands()[words].help


def test_the_pages_of_settings_list_every_shared_option_with_its_variable() -> None:
    shared = program()
    daemon = commands()["inferometer daemon"]
    lines = [*text_of(SETTINGS_PAGE).splitlines(), *text_of(CONFIGURATION).splitlines()]
    variables = {setting.option.split("/")[0]: setting.variable for setting in SETTINGS if setting.option}
    options = {option.opts[0] for option in (*shared.params, *daemon.params)}
    assert variables.keys() <= options
    for option, variable in [*variables.items(), ("--config", "INFEROMETER_CONFIG")]:
        assert any(f"`{option}`" in line and f"`{variable}`" in line for line in lines), option


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_and_variable_named_exists(page: Path) -> None:
    parameters = [p for command in (program(), *commands().values()) for p in command.params]
    options = {name for p in parameters for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    named = {word for span in SPAN.findall(FENCE.sub("", text_of(page))) for word in re.findall(r"^--[\w.-]+", span)}
    others = {"--no-index", "--require-hashes", "--storage.tsdb.retention.time", "--web.enable-remote-write-receiver"}
    assert named - options - others == set()  # those of pip and of Prometheus are not ours
    known = {setting.variable for setting in SETTINGS} | {"INFEROMETER_CONFIG"}
    tools = "".join(
        text_of(path)
        for path in (
            ROOT / ".ci/run",
            ROOT / "tests/conftest.py",
            ROOT / "tests/test_docs.py",
            ROOT / "proofs/programs.py",
        )
    )
    known |= set(re.findall(r'(?:environ\.get\("|export .*?)(INFEROMETER_\w+)', tools))
    assert set(re.findall(r"INFEROMETER_\w+", text_of(page))) - known == set()


def test_the_reference_has_every_command_with_its_options_and_examples() -> None:
    sections = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", reference(), re.MULTILINE | re.DOTALL))
    for words, command in commands().items():
        examples = re.findall(r"^Example: (.+)$", command.help or "", re.MULTILINE)
        assert [each for each in examples if f"\n{each}\n" not in sections[words]] == []
        for option in (name for parameter in command.params for name in parameter.opts if name.startswith("-")):
            assert re.search(rf"^- `.*{re.escape(option)}\b", sections[words], re.MULTILINE), (words, option)
