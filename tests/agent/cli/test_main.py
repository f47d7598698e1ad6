"""The command line: help, a quick start, completion, and shared options at any position."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from agent.cli.arguments import move_globals_first
from agent.cli.main import command_line
from command import INFEROMETER, call, environment, run, started
from store.database import open_database
from trees import FIXTURES, copy_tree, hwmon_chip

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = (
    *("sqlalchemy", "alembic", "prometheus_client", "psutil", "pynvml", "cpuinfo", "numpy", "onnx", "onnxruntime"),
    *("jsonschema", "rich", "agent.profiling.run", "agent.daemon.service", "store.database"),
)
SERVER = FIXTURES / "trees/intel_server_2s/sys"
NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
"""Other tests of this process may have loaded a fake driver."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command and group with the words that call it."""
    waiting = [("", typer.main.get_command(command_line()))]
    for words, command in waiting:
        yield words, command
        waiting += [(f"{words} {name}".strip(), each) for name, each in getattr(command, "commands", {}).items()]


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=lambda words: words or "inferometer")
def test_every_command_and_option_has_help_and_every_command_shows_an_example(words: str, tmp_path: Path) -> None:
    command = dict(commands())[words]
    result = call(tmp_path, *words.split(), "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not [option.opts for option in command.params if not getattr(option, "help", None)]
    if hasattr(command, "commands"):
        assert all(each.help for each in command.commands.values())
        assert "..." not in result.stdout.partition("Commands:")[2]  # the summary of a command fits its line
        return
    paragraphs = result.stdout.split("\n\n")
    examples = [paragraph.strip() for paragraph in paragraphs if "Example:" in paragraph]
    assert examples
    for example in examples:  # each is a separate paragraph with one command line
        assert example.startswith("Example: ")
        assert example.count("Example:") == 1
        assert f"inferometer {words}" in " ".join(example.split())


def test_help_and_version_load_no_slow_library(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom agent.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    for arguments in (["--help"], ["profile", "transformer", "--help"]):
        line = [sys.executable, "-c", program, *arguments]
        result = subprocess.run(line, env=environment(tmp_path), capture_output=True, text=True, check=True)
        assert result.stderr == "[]\n"


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize(
    ("arguments", "needed"),
    [(("devices",), set()), (("doctor",), {"psutil", "email"}), (("measure", "--", "true"), set())],
)
def test_short_commands_load_no_library_that_they_do_not_use(
    tmp_path: Path, arguments: tuple[str, ...], needed: set[str], with_store: bool
) -> None:
    if with_store:
        open_database(str(tmp_path / "state/inferometer/inferometer.db")).dispose()
    unneeded = {*HEAVY, "pydantic", "http.client", "email", "agent.profiling.records", "agent.cost.model"} - needed
    program = (
        "import atexit, sys; from agent.cli.main import main\n"
        f"atexit.register(lambda: print('loaded', sorted({unneeded} & sys.modules.keys()), file=sys.stderr))\n"
        f"main({[*arguments[:1], *NO_NVIDIA, *arguments[1:]]})"
    )
    line = [sys.executable, "-c", program]
    result = subprocess.run(line, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == "loaded []", result.stderr


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert call(tmp_path, "--version").stdout == f"inferometer {version('inferometer')}\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("inferometer prof", {"profile", "profiles"}),
        ("inferometer profile transformer --pre", {"--precision", "--preset"}),
        ("inferometer profile transformer --positions l", {"learned"}),
        ("inferometer --path.", {"--path.sysfs", "--path.procfs", "--path.nvml-library"}),
    ],
)
def test_the_shell_completes_commands_options_and_values(tmp_path: Path, typed: str, completed: set[str]) -> None:
    asked = {"_INFEROMETER_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    result = run(tmp_path, env=environment(tmp_path, **asked))
    assert (result.returncode, set(result.stdout.split())) == (0, completed)


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ("devices --path.sysfs /x --json", "--path.sysfs /x devices --json"),
        ("devices --path.sysfs=/x --no-estimates", "--path.sysfs=/x --no-estimates devices"),
        ("measure --duration 3 --config c", "--config c measure --duration 3"),
        ("measure python --config x", "measure python --config x"),
        ("measure --json python --no-estimates", "measure --json python --no-estimates"),
        ("measure --config c -- run --config x", "--config c measure -- run --config x"),
        ("--config c measure -- --database d", "--config c measure -- --database d"),
        ("profiles show measure --database d", "--database d profiles show measure"),
        ("devices --database", "--database"),
        ("", ""),
    ],
)
def test_shared_options_move_to_the_front_and_others_stay_in_place(given: str, ordered: str) -> None:
    assert move_globals_first(given.split()) == ordered.split()


@pytest.mark.parametrize(
    "line", [("nonsense",), ("devices", "--nonsense"), ("profile", "resnet"), ("devices", "extra")]
)
def test_an_unknown_command_or_option_ends_with_2(tmp_path: Path, line: tuple[str, ...]) -> None:
    result = call(tmp_path, *line)
    assert (result.returncode, result.stdout) == (2, "")
    assert line[-1] in result.stderr


def test_devices_are_shown_as_a_list_and_as_one_document(tmp_path: Path) -> None:
    line = ("devices", "--path.sysfs", SERVER, "--path.procfs", FIXTURES / "proc/epyc_two_packages", *NO_NVIDIA)
    text = call(tmp_path, *line)
    assert text.returncode == 0
    assert "package-0  cpu  AMD EPYC" in text.stdout
    assert "  dram     measured  rapl  energy_joules\n" in text.stdout
    assert "not available: nvml: " in text.stdout
    found = json.loads(call(tmp_path, *line, "--json").stdout)
    devices = {device["device"]: device for device in found["devices"]}
    assert devices.keys() >= {"package-0", "package-1", "psys"}
    dram = next(channel for channel in devices["package-1"]["channels"] if channel["domain"] == "dram")
    assert (dram["metric"], dram["source"], dram["contained_in"]) == ("energy_joules", "measured", [["psys", "psys"]])
    assert {absence["family"] for absence in found["not_available"]} >= {"hwmon"}


def test_devices_marks_the_sensors_of_the_total_and_names_its_boundary(tmp_path: Path) -> None:
    line = ("devices", "--path.sysfs", SERVER, "--path.procfs", FIXTURES / "proc/epyc_two_packages", *NO_NVIDIA)
    text = call(tmp_path, *line).stdout
    assert [row.split()[1] for row in text.splitlines() if row.startswith("+ ")] == ["psys"]
    ending = "total: boundary node: psys/psys\nnot covered: parts that are not wired to psys; power supply losses\n"
    assert f"\n\n{ending}" in text
    assert "contained:   package-0 in psys/psys; package-1 in psys/psys; memory in psys/psys; board, disks" in text
    assert text.splitlines()[-1].startswith("missing:     power supply losses; parts that are not wired to psys")
    found = json.loads(call(tmp_path, *line, "--json").stdout)
    states = {part["name"]: part["state"] for part in found["total"].pop("parts")}
    assert (states["package-0"], states["power supply losses"]) == ("contained", "missing")
    assert found["total"] == {
        "boundary": "node",
        "includes": [{"device": "psys", "domain": "psys"}],
        "not_covered": ["parts that are not wired to psys", "power supply losses"],
    }
    counted = [(d["device"], c["domain"]) for d in found["devices"] for c in d["channels"] if c["counted"]]
    assert counted == [("psys", "psys")]


def test_only_one_of_two_probes_of_a_domain_is_added(tmp_path: Path) -> None:
    sysfs = copy_tree("amd_epyc", tmp_path / "tree")
    for socket in (0, 1):
        values = {"name": "amd_hsmp_hwmon", "power1_input": 90_000_000}
        hwmon_chip(sysfs, socket, f"platform/AMDI0097:0{socket}", values)
    text = call(tmp_path, "devices", "--path.sysfs", sysfs, *NO_NVIDIA).stdout
    assert [row.split()[1:4:2] for row in text.splitlines() if row.startswith("+ ")] == [["package", "rapl"]] * 2


def test_devices_lists_the_exclusions_and_those_without_a_match(tmp_path: Path) -> None:
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    line = ("devices", "--path.sysfs", sysfs, *NO_NVIDIA, "--exclude", "psys,package-0/dram", "--exclude", "package-9")
    text = call(tmp_path, *line).stdout
    assert "\nexcluded: psys, package-0/dram\n" in text
    assert "\nnote: package-9\n" in text
    assert "+ package  measured" in text
    found = json.loads(call(tmp_path, *line, "--json").stdout)
    assert found["excluded"] == ["psys", "package-0/dram"]
    assert [note["sensor"] for note in found["notes"]] == ["package-9"]


def test_devices_distinguishes_estimates_from_measurements(tmp_path: Path) -> None:
    text = call(tmp_path, "devices", "--path.sysfs", tmp_path).stdout
    assert "estimated to ±" in text
    assert "estimated" not in call(tmp_path, "devices", "--path.sysfs", tmp_path, "--no-estimates").stdout


def test_a_terminal_without_some_characters_gets_the_output(tmp_path: Path) -> None:
    plain = environment(tmp_path, PYTHONIOENCODING="ascii")
    result = run(tmp_path, "devices", "--path.sysfs", tmp_path, env=plain)
    assert (result.returncode, result.stderr) == (0, "")
    assert "estimated to ?" in result.stdout


def test_a_reader_that_closes_the_pipe_causes_no_traceback(tmp_path: Path) -> None:
    with started(tmp_path, "devices") as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 141
    assert errors == ""


def test_the_tests_run_the_installed_command() -> None:
    assert INFEROMETER[-1] == "agent.cli.entry"


def test_output_that_cannot_be_written_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = run(tmp_path, "--help", stdout=full)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
