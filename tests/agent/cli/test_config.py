from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest

from agent.config import ConfigError
from agent.config.sample import sample_file
from agent.config.setting import Setting, Table
from agent.config.value_types import SECONDS
from agent.daemon.entry import config_of
from command import call, environment, run


@pytest.mark.parametrize("output", [(), ("-o", "-")])
def test_config_init_prints_a_file_that_config_check_accepts(tmp_path: Path, output: tuple[str, ...]) -> None:
    done = call(tmp_path, "config", "init", *output)
    assert (done.returncode, done.stdout, done.stderr) == (0, sample_file(), "")
    (tmp_path / "printed.toml").write_text(done.stdout, encoding="utf-8")
    checked = call(tmp_path, "config", "check", "printed.toml")
    assert (checked.returncode, checked.stderr) == (0, "")
    unset = call(tmp_path, "config", "check").stdout
    assert tomllib.loads(checked.stdout.partition("\n")[2]) == tomllib.loads(unset.partition("\n")[2])


def test_config_init_writes_a_file(tmp_path: Path) -> None:
    done = call(tmp_path, "config", "init", "-o", "config.toml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "wrote config.toml\n")
    path = tmp_path / "config.toml"
    assert path.read_text(encoding="utf-8") == sample_file()
    assert stat.S_ISREG(path.stat().st_mode)


@pytest.mark.parametrize("dangling", [False, True])
def test_config_init_replaces_a_file_only_with_force(tmp_path: Path, dangling: bool) -> None:
    path = tmp_path / "config.toml"
    if dangling:
        path.symlink_to(tmp_path / "elsewhere.toml")
    else:
        path.write_text("mine", encoding="utf-8")
    done = call(tmp_path, "config", "init", "-o", "config.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: config.toml: it exists and was not changed; --force replaces it\n"
    assert dangling != path.exists()
    assert call(tmp_path, "config", "init", "--force", "-o", "config.toml").returncode == 0
    assert path.read_text(encoding="utf-8") == sample_file()


def test_config_init_reports_a_folder_that_is_missing(tmp_path: Path) -> None:
    done = call(tmp_path, "config", "init", "-o", "missing/config.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: missing/config.toml: it cannot be written (No such file")


@pytest.mark.parametrize("command", [("config", "check"), ("devices",)])
def test_a_command_warns_of_an_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    setting = Setting("period_seconds", SECONDS, 1.0, "", old_keys=("speed",))
    monkeypatch.setattr("agent.config.resolve.TABLES", (Table("sampling", (setting,)),))
    (tmp_path / "config.toml").write_text("speed = 2\n")
    (tmp_path / "sys").mkdir()
    done = call(tmp_path, *command, "--config", "config.toml", "--path.sysfs", "sys")
    assert "warning: config.toml: speed is now called sampling.period_seconds" in done.stderr


def test_an_option_or_the_file_excludes_a_family(tmp_path: Path) -> None:
    def families(*words: str) -> set[str]:
        document = json.loads(call(tmp_path, "devices", "--json", *words).stdout)
        return {channel["probe"] for device in document["devices"] for channel in device["channels"]}

    (tmp_path / "config.toml").write_text('[sensors]\nexclude = ["memory"]\n')
    assert "memory" in families()
    assert "memory" not in families("--exclude", "memory,rapl")
    assert "memory" not in families("--config", "config.toml")


def test_config_check_prints_the_settings_without_a_password(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = (
        'database = "postgresql://me:secret@host/energy"\n[sampling.periods]\nnvml = 0.5\n[host.labels]\nsite = "a"\n'
    )
    path.write_text(text)
    done = call(tmp_path, "config", "check", path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert shown["file"] == str(path)
    assert shown["config"]["database"] == "postgresql+psycopg://me:***@host/energy"
    assert shown["config"]["sampling"]["periods"] == {"nvml": 0.5}
    text = call(tmp_path, "config", "check", path).stdout
    assert "secret" not in text
    assert tomllib.loads(text.partition("\n")[2]) == shown["config"]


@pytest.mark.parametrize("text", ["databse = 'x'", "database = 'postgresql://host:port/x'", "[exporter]\nlisten = 'x'"])
def test_config_check_ends_with_2_if_the_daemon_cannot_use_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    done = call(tmp_path, "config", "check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: ")


def test_config_check_shows_the_source_of_each_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is file, variable, option; each setting has the value and the source of the last that sets it."""
    path = tmp_path / "config.toml"
    path.write_text('log_level = "debug"\n[sensors]\nexclude = ["rapl"]\n[exporter]\nlisten = "127.0.0.1:1"\n')
    monkeypatch.setattr(
        "command.environment",
        lambda home: {**environment(home), "INFEROMETER_LISTEN": "127.0.0.1:2", "INFEROMETER_EXCLUDE": "nvml"},
    )
    line = ("config", "check", path, "--exclude", "none", "--no-realtime")
    shown = json.loads(call(tmp_path, *line, "--json").stdout)
    expected = {
        "log_level": ("debug", str(path)),
        "exporter.listen": ("127.0.0.1:2", "INFEROMETER_LISTEN"),
        "sensors.exclude": ([], "--exclude"),
        "sampling.realtime": (False, "--no-realtime"),
        "sampling.period_seconds": (1.0, "default"),
    }
    for key, (value, source) in expected.items():
        table, _, name = key.rpartition(".")
        assert (shown["config"][table] if table else shown["config"])[name] == value
        assert shown["sources"][key] == source
    text = call(tmp_path, *line).stdout
    del shown["config"]["sampling"]["periods"], shown["config"]["host"]  # an empty table has no line
    assert re.search(r'^  exporter.listen = "127.0.0.1:2" +# INFEROMETER_LISTEN$', text, re.MULTILINE)
    assert tomllib.loads(text.partition("\n")[2]) == shown["config"]


@pytest.mark.parametrize("url", ["mysql://me:secret@x/y", "postgresql+nonsense://x/y", "sqlite:///x?mode=ro"])
def test_config_check_refuses_a_database_that_no_store_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'database = "{url}"\n')
    in_file = call(tmp_path, "config", "check", path)
    by_option = call(tmp_path, "config", "check", "--database", url)
    monkeypatch.setattr("command.environment", lambda home: {**environment(home), "INFEROMETER_DATABASE": url})
    by_variable = call(tmp_path, "config", "check")
    for done, source in (
        (in_file, f"{path}: database"),
        (by_option, "--database"),
        (by_variable, "INFEROMETER_DATABASE"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {source}: ")
        assert "secret" not in done.stderr


def test_a_wrong_variable_is_refused_in_the_words_of_the_daemon(tmp_path: Path) -> None:
    for name, text in (("ESTIMATES", "maybe"), ("CPU_BUDGET", "x"), ("LISTEN", "here"), ("LOG_LEVEL", "loud")):
        words = environment(tmp_path, **{f"INFEROMETER_{name}": text})
        with pytest.raises(ConfigError) as refused:
            config_of(None, words)
        done = run(tmp_path, "devices", env=words)
        assert (done.returncode, done.stderr) == (2, f"error: {refused.value}\n")
        assert str(refused.value).startswith(f"INFEROMETER_{name}: {text!r} is not ")


def test_config_init_writes_into_a_device(tmp_path: Path) -> None:
    done = call(tmp_path, "config", "init", "-o", "/dev/null")
    assert (done.returncode, done.stderr) == (0, "wrote /dev/null\n")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_socket_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[exporter]\nsocket = "/tmp/a\\u0000b"\n', encoding="utf-8")
    done = call(tmp_path, "config", "check", "config.toml")
    assert done.returncode == 2
    assert "exporter.socket" in done.stderr
    assert "Traceback" not in done.stderr
