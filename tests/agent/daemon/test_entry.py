"""`inferometerd` reads the same settings as `inferometer daemon`, from one option and the environment."""

from __future__ import annotations

import subprocess
import sys
from threading import Timer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import ConfigError
from agent.config.table import SETTINGS
from agent.daemon.entry import config_of, main
from command import LONGEST_SECONDS, call, environment, read_until
from daemons import configure

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("CONFIG", "DATABASE", "LISTEN", "LOG_LEVEL", "PATH_SYSFS", "PATH_PROCFS", "PATH_NVML_LIBRARY", "ESTIMATES")


@pytest.fixture
def file(tmp_path: Path) -> str:
    configure(tmp_path, top='database = "/of/the/file.db"')
    return str(tmp_path / "config.toml")


def test_the_environment_overrides_the_file(file: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    config = config_of(
        file,
        {
            "INFEROMETER_DATABASE": "/of/the/variable.db",
            "INFEROMETER_LISTEN": "[::1]:19795",
            "INFEROMETER_LOG_LEVEL": "debug",
            "INFEROMETER_PATH_PROCFS": str(tmp_path / "proc"),
            "INFEROMETER_PATH_NVML_LIBRARY": "/lib/nvml.so",
            "INFEROMETER_ESTIMATES": "yes",
        },
    )
    assert (config.database, config.listen, config.log_level) == ("/of/the/variable.db", "[::1]:19795", "debug")
    assert (config.roots.procfs, config.roots.nvml_library) == (str(tmp_path / "proc"), "/lib/nvml.so")
    assert config.estimates is True


def test_the_option_names_the_file_before_the_variable_does(file: str) -> None:
    assert config_of(file, {"INFEROMETER_CONFIG": "/nowhere.toml"}).database == "/of/the/file.db"
    assert config_of(None, {"INFEROMETER_CONFIG": file}).database == "/of/the/file.db"


def test_the_service_logs_the_warnings_of_its_configuration(tmp_path: Path) -> None:
    configure(tmp_path, top=f'database = "{tmp_path}/store.db"\nold_period = 0.1', sampling="estimates = false")
    rename = """
import sys
from dataclasses import replace
from agent.config import resolve
from agent.daemon.entry import main
renamed = lambda s: replace(s, old_keys=("old_period",)) if s.name == "period_seconds" else s
resolve.TABLES = tuple(replace(t, settings=tuple(map(renamed, t.settings))) for t in resolve.TABLES)
main(["--config", sys.argv[1]])
"""
    argv = [sys.executable, "-c", rename, str(tmp_path / "config.toml")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment(tmp_path), cwd=tmp_path) as process:
        watchdog = Timer(LONGEST_SECONDS, process.kill)
        watchdog.start()
        try:
            logged = read_until(process.stderr, "old_period is now called sampling.period_seconds")
        finally:
            process.kill()
            watchdog.cancel()
    assert "level=warning" in logged.splitlines()[-1]


@given(st.sets(st.sampled_from(NAMES)))
def test_an_empty_variable_counts_as_unset(names: set[str]) -> None:
    user = {"HOME": "/nobody"}
    assert config_of(None, {**user, **{f"INFEROMETER_{name}": "" for name in names}}) == config_of(None, user)


@pytest.mark.parametrize("text", ["1", "true", "YES", "on", "0", "False", "no", "off"])
def test_a_flag_accepts_the_words_that_the_command_line_accepts(file: str, text: str) -> None:
    assert config_of(file, {"INFEROMETER_ESTIMATES": text}).estimates is (text.lower() in {"1", "true", "yes", "on"})


def test_every_variable_of_the_daemon_is_valid_for_the_service(file: str, tmp_path: Path) -> None:
    words = {"LISTEN": "127.0.0.1:1", "LOG_LEVEL": "debug", "CPU_BUDGET": "0.5", "REALTIME": "0", "ESTIMATES": "1"}
    for name in [setting.variable for setting in SETTINGS if setting.variable]:
        short = name.removeprefix("INFEROMETER_")
        assert config_of(file, {name: words.get(short, str(tmp_path))}) != config_of(file, {}), name


def test_an_invalid_number_is_refused_by_name(file: str) -> None:
    with pytest.raises(ConfigError, match="INFEROMETER_CPU_BUDGET: 'much' is not a share of one processor"):
        config_of(file, {"INFEROMETER_CPU_BUDGET": "much"})


def test_an_invalid_flag_is_refused_by_name(file: str) -> None:
    with pytest.raises(ConfigError, match="INFEROMETER_ESTIMATES: 'maybe' is not true or false"):
        config_of(file, {"INFEROMETER_ESTIMATES": "maybe"})


@pytest.mark.parametrize("wrong", [["--listen", "x"], ["extra"], ["--conf", "x"]])
def test_an_unknown_argument_exits_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_both_entry_points_refuse_a_configuration_in_the_same_way(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", main.__module__, "--config", "/nowhere.toml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    reported = call(tmp_path, "daemon", "--config", "/nowhere.toml")
    assert (done.returncode, done.stderr) == (reported.returncode, reported.stderr) == (2, reported.stderr)
    assert "/nowhere.toml" in reported.stderr
