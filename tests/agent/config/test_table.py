from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

from agent.config import Config, ConfigError, default_database, load
from agent.config.reader import Reader
from agent.config.resolve import values_of
from agent.config.sample import sample_file
from agent.config.setting import Setting, Table
from agent.config.table import SETTINGS, TABLES
from agent.config.value_types import ADDRESS, SECONDS, TEXT

ROOT = Path(__file__).parents[3]
PLAIN = Table("sampling", (Setting("pace", SECONDS, 1.0, "", old_keys=("speed", "timing.pace", "sampling.rate")),))
SERVERS = Table(
    "serving", (Setting("listen", ADDRESS, "127.0.0.1:1", ""), Setting("name", TEXT, "", "")), repeated=True
)


def read(text: str, *tables: Table) -> tuple[dict[str, object], tuple[str, ...]]:
    return Reader(tables, "file.toml").read(tomllib.loads(text))


def test_the_defaults_of_the_table_are_those_of_an_empty_configuration() -> None:
    assert values_of(Config()) == {setting.name: setting.default for setting in SETTINGS}


def test_every_name_key_variable_and_option_belongs_to_one_setting() -> None:
    paths = [table.path(setting) for table in TABLES for setting in table.settings]
    variables = [setting.variable for setting in SETTINGS if setting.variable]
    options = [name for setting in SETTINGS if setting.option for name in setting.option.split("/")]
    for names in ([setting.name for setting in SETTINGS], paths, variables, options):
        assert len(set(names)) == len(names) > 0
    assert all(bool(setting.variable) == bool(setting.option) for setting in SETTINGS)


def test_the_generated_files_are_those_of_the_table() -> None:
    """After a change of the table: make settings, then read the difference."""
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs/make_settings.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == script.page()
    assert (ROOT / "systemd/config.toml").read_text(encoding="utf-8") == script.service_file()


def test_the_sample_file_sets_the_defaults_and_shows_every_key(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(sample_file(), encoding="utf-8")
    assert load(path) == Config(database=default_database())
    path.write_text(sample_file().replace("\n# nvml = 1.0", "\nnvml = 0.25"), encoding="utf-8")
    assert load(path).period_of("nvml") == 0.25
    lines = sample_file().splitlines()
    assert {setting.file_key for setting in SETTINGS} - {line.lstrip("# ").split(" = ")[0] for line in lines} == set()
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("text", "old"),
    [("speed = 2", "speed"), ("[timing]\npace = 2", "timing.pace"), ("[sampling]\nrate = 2", "sampling.rate")],
)
def test_an_old_key_sets_the_value_and_causes_a_warning(text: str, old: str) -> None:
    values, warnings = read(text, PLAIN)
    assert values == {"pace": 2.0}
    assert warnings == (f"file.toml: {old} is now called sampling.pace; the next minor version refuses the old name",)


def test_a_new_key_causes_no_warning() -> None:
    assert read("[sampling]\npace = 2", PLAIN) == ({"pace": 2.0}, ())


def test_an_old_key_beside_the_new_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"speed is the old name of sampling\.pace; remove one"):
        read("speed = 2\n[sampling]\npace = 3", PLAIN)


@pytest.mark.parametrize("text", ["speed = 'x'", "timing = 1", "[timing]\npaces = 1", "sampling = 1\nspeed = 1"])
def test_a_wrong_value_or_name_beside_old_keys_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^file\.toml: "):
        read(text, PLAIN)


def test_a_repeated_table_gives_one_record_for_each_of_its_tables() -> None:
    text = "[[serving]]\nlisten = 'a:1'\nname = 'one'\n[[serving]]\nname = 'two'\n[sampling]\npace = 3"
    values, _ = read(text, PLAIN, SERVERS)
    assert values == {
        "pace": 3.0,
        "serving": ({"listen": "a:1", "name": "one"}, {"listen": "127.0.0.1:1", "name": "two"}),
    }
    assert read("", PLAIN, SERVERS)[0]["serving"] == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serving = 1", r"serving = 1 is not a list of tables, \[\[serving\]\]"),
        ("[serving]\nname = 'x'", "is not a list of tables"),
        ("serving = [1]", "is not a list of tables"),
        ("[[serving]]\nnames = 'x'", "unknown key 'serving.names'; did you mean 'serving.name'"),
        ("[[serving]]\nlisten = 1", r"serving\[1\].listen = 1 is not host:port"),
    ],
)
def test_a_wrong_repeated_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(text, PLAIN, SERVERS)
