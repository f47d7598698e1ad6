from __future__ import annotations

import os
import pwd
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import (
    LISTEN,
    LOG_LEVELS,
    Config,
    ConfigError,
    default_database,
    load,
    override,
)
from agent.config.sample import to_tables
from agent.config.value_types import SENSOR_NAMES
from agent.install.systemd import files_folder
from command import environment, run
from probes.model import Roots
from probes.registry import ESTIMATE, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING = """
database = "/srv/inferometer.db"
log_level = "debug"
[path]
sysfs = "/host/sys"
procfs = "/host/proc"
nvml_library = "/opt/libnvidia-ml.so.1"
[sensors]
exclude = ["memory", "package-0/dram"]
[sampling]
period_seconds = 2
estimates = false
[sampling.periods]
nvml = 0.5
hwmon = 5
[exporter]
listen = "[::1]:1234"
"""


OWN_HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "config.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_every_key_sets_its_field(written) -> None:
    config = load(written(EVERYTHING))
    assert config == Config(
        database="/srv/inferometer.db",
        log_level="debug",
        roots=Roots("/host/sys", "/host/proc", "/opt/libnvidia-ml.so.1"),
        exclude=("memory", "package-0/dram"),
        period_seconds=2.0,
        periods=(("hwmon", 5.0), ("nvml", 0.5)),
        estimates=False,
        listen="[::1]:1234",
    )
    assert [config.period_of(probe) for probe in ("nvml/GPU-1", "hwmon/0000:03:00.0", "rapl")] == [0.5, 5.0, 2.0]


def test_an_empty_file_and_no_file_give_the_defaults(written) -> None:
    assert load(written("")) == load(None) == Config(database=default_database())
    assert load(None).listen == LISTEN


def test_an_empty_text_gives_the_default(written) -> None:
    text = 'database = ""\n[path]\nsysfs = ""\nprocfs = ""\nnvml_library = ""\n'
    assert load(written(text)) == load(None)


def test_the_sample_file_changes_only_the_database() -> None:
    config = load(files_folder() / "config.toml")
    assert override(config, database=default_database()) == load(None)
    assert config.database == "sqlite:////var/lib/inferometer/inferometer.db"


@pytest.mark.parametrize("family", [*FAMILIES, ESTIMATE])
def test_every_family_can_have_its_own_period(written, family: str) -> None:
    assert load(written(f"[sampling.periods]\n{family} = 0.25\n")).period_of(f"{family}/x") == 0.25


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_every_level_can_be_set(written, level: str) -> None:
    assert load(written(f'log_level = "{level}"')).log_level == level


@pytest.mark.parametrize(
    ("text", "unknown", "meant"),
    [
        ("databse = 'x'", "databse", "database"),
        ("[path]\nsysf = '/s'", "path.sysf", "path.sysfs"),
        ("[sampling]\nperiod = 1", "sampling.period", "sampling.periods"),
        ("[sampling]\nestimate = true", "sampling.estimate", "sampling.estimates"),
        ("[sampling.periods]\nnvm = 1", "sampling.periods.nvm", "sampling.periods.nvml"),
        ("[exporter]\nlisten_on = 'x'", "exporter.listen_on", "exporter.listen"),
        ("[exporters]\nlisten = 'x'", "exporters", "exporter"),
        ("listen = '127.0.0.1:1'", "listen", "exporter.listen"),
        ("sysfs = '/s'", "sysfs", "path.sysfs"),
        ("period_seconds = 1", "period_seconds", "sampling.period_seconds"),
        ("[sampling]\nhwmon = 1", "sampling.hwmon", "sampling.periods.hwmon"),
    ],
)
def test_an_unknown_key_is_refused_with_the_most_similar_key(written, text: str, unknown: str, meant: str) -> None:
    assert refusal(written(text)) == f"unknown key {unknown!r}; did you mean {meant!r}?"


def test_a_key_without_a_similar_one_is_refused_with_the_keys_of_its_table(written) -> None:
    known = "listen, hosts, socket, socket_group, web_config"
    assert refusal(written("[exporter]\nq = 1")) == f"unknown key 'exporter.q'; known here: {known}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("database = 1", "database = 1 is not a text in quotes"),
        ("log_level = true", "log_level = True is not one of debug, info, warning, error"),
        ("log_level = 'loud'", "log_level = 'loud' is not one of debug, info, warning, error"),
        ("path = '/sys'", "path = '/sys' is not a table"),
        ("[[exporter]]\nlisten = 'x'", "exporter = [{'listen': 'x'}] is not a table"),
        (
            "[sensors]\nexclude = 'nvml'",
            f"sensors.exclude = 'nvml' is not {SENSOR_NAMES.wanted}",
        ),
        ("[path]\nsysfs = ['/sys']", "path.sysfs = ['/sys'] is not a path in quotes"),
        ("[sampling]\nestimates = 1", "sampling.estimates = 1 is not true or false"),
        ("[sampling]\nestimates = 'no'", "sampling.estimates = 'no' is not true or false"),
        ("[sampling]\nperiods = 1", "sampling.periods = 1 is not a table"),
        (
            "[exporter]\nlisten = 19795",
            "exporter.listen = 19795 is not host:port, such as 127.0.0.1:19795 or [::1]:19795",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_right_type(written, text: str, message: str) -> None:
    assert refusal(written(text)) == message


@pytest.mark.parametrize("value", ["true", "'1'", "0", "-1", "0.0009", "60.1", "nan", "inf", "-inf", "1" + 400 * "0"])
@pytest.mark.parametrize("key", ["[sampling]\nperiod_seconds", "[sampling.periods]\nrapl"])
def test_a_period_is_a_number_of_seconds_in_a_range(written, key: str, value: str) -> None:
    assert refusal(written(f"{key} = {value}")).endswith("is not a number of seconds from 0.001 to 60")


@pytest.mark.parametrize(
    "listen", ["", "9795", "localhost", ":1234", "127.0.0.1:", "a:b", "::1:1234", "h:123456", "h :1"]
)
def test_a_listen_address_without_host_or_port_is_refused(written, listen: str) -> None:
    message = refusal(written(f'[exporter]\nlisten = "{listen}"'))
    assert message == f"exporter.listen = {listen!r} is not host:port, such as {LISTEN} or [::1]:19795"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:9795", "localhost:1", "[::]:9795", "[fe80::1%eth0]:9795"])
def test_a_listen_address_is_an_address_or_a_name_with_a_port(written, listen: str) -> None:
    assert load(written(f'[exporter]\nlisten = "{listen}"')).listen == listen


def test_a_byte_order_mark_is_ignored(written) -> None:
    assert load(written("log_level = 'debug'".encode("utf-8-sig"))).log_level == "debug"


def test_another_encoding_is_refused_with_its_first_line(written) -> None:
    path = written("log_level = 'info'\ndatabase = '/srv/größe.db'\n".encode("latin-1"))
    assert refusal(path) == "this is not TOML: line 2 is not UTF-8. Save the file as UTF-8"


def test_a_syntax_error_is_refused_with_its_place(written) -> None:
    assert refusal(written("log_level =\n")).startswith("this is not TOML: Invalid value (at line 1, column 12)")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.toml")
    assert "Is a directory" in refusal(tmp_path)


def test_a_given_value_overrides_the_file_and_none_changes_nothing(written) -> None:
    config = load(written(EVERYTHING))
    assert override(config) == config
    assert override(config, sysfs=None, listen=None, estimates=None) == config
    changed = override(config, sysfs="/s", estimates=True, database="x.db", listen="127.0.0.1:1", log_level="error")
    assert changed.roots == Roots("/s", "/host/proc", "/opt/libnvidia-ml.so.1")
    assert (changed.estimates, changed.database, changed.listen, changed.log_level) == (
        True,
        "x.db",
        "127.0.0.1:1",
        "error",
    )


def test_a_list_in_an_option_is_separated_by_commas() -> None:
    assert override(Config(), exclude="nvml, package-0/dram").exclude == ("nvml", "package-0/dram")
    with pytest.raises(ConfigError, match="--exclude: 'nvml,' is not a list of families"):
        override(Config(), exclude="nvml,")


def test_the_word_none_clears_a_list_of_the_file_and_stands_alone() -> None:
    config = Config(exclude=("nvml",))
    assert override(config, exclude=["none"]).exclude == ()
    for wrong in ("none,rapl", "rapl,none", ""):
        with pytest.raises(ConfigError, match=f"--exclude: '{wrong}' is not .*, or none alone"):
            override(config, exclude=[wrong])


def test_a_group_without_a_socket_is_warned_of(written) -> None:
    (warning,) = load(written('[exporter]\nsocket_group = "monitoring"')).warnings
    assert "exporter.socket_group = 'monitoring' has no effect without exporter.socket; set exporter.socket" in warning
    assert load(written('[exporter]\nsocket = "/run/x"\nsocket_group = "monitoring"')).warnings == ()


def test_a_level_and_an_address_of_an_option_are_checked() -> None:
    with pytest.raises(ConfigError, match="--log-level: 'loud' is not one of"):
        override(Config(), log_level="loud")
    with pytest.raises(ConfigError, match="--listen: 'here' is not host:port"):
        override(Config(), listen="here")


def test_a_configuration_is_shown_as_the_file_has_it(written) -> None:
    sample = Path(__file__).parents[3] / "systemd/config.toml"
    everything = tomllib.loads(sample.read_text(encoding="utf-8"))
    assert to_tables(load(sample)) == everything
    path = written('[retention]\nraw_days = 7\n[exporter]\nlisten = "[::1]:1"\n')
    shown = to_tables(load(path))
    assert (shown["retention"]["raw_days"], shown["exporter"]["listen"]) == (7, "[::1]:1")


def test_an_option_overrides_a_variable_and_a_variable_overrides_the_file(tmp_path: Path, written) -> None:
    path = written(f'[path]\nsysfs = "{tmp_path}/file"\nprocfs = "{tmp_path}/file"\nnvml_library = "{tmp_path}/file"\n')
    for place in ("file", "variable", "option"):
        (tmp_path / place).mkdir()
    variables = {
        "INFEROMETER_CONFIG": str(path),
        "INFEROMETER_PATH_PROCFS": f"{tmp_path}/variable",
        "INFEROMETER_PATH_SYSFS": f"{tmp_path}/variable",
        "INFEROMETER_ESTIMATES": "no",
    }
    done = run(
        tmp_path, "devices", "--json", "--path.sysfs", f"{tmp_path}/option", env=environment(tmp_path, **variables)
    )
    output = done.stdout + done.stderr
    assert all(f"{tmp_path}/{place}" in output for place in ("file", "variable", "option")), output


def test_host_names_become_lower_case_and_a_wrong_one_is_refused(written) -> None:
    assert load(written('[exporter]\nhosts = ["Monitor.Example.org.", "scraper"]')).hosts == (
        "monitor.example.org",
        "scraper",
    )
    for wrong in ('"a name"', '"http://x"', "1", '""'):
        assert "is not a list of host names" in refusal(written(f"[exporter]\nhosts = [{wrong}]"))
    assert "is not a list of host names" in refusal(written('[exporter]\nhosts = "monitor"'))


def test_a_unix_socket_has_an_absolute_path_that_fits_into_its_address(written) -> None:
    config = load(written('[exporter]\nsocket = "/run/inferometer/http.sock"\nsocket_group = "monitoring"'))
    assert (config.socket, config.socket_group) == ("/run/inferometer/http.sock", "monitoring")
    assert (Config().socket, Config().socket_group) == ("", "")
    for path in ("http.sock", "./http.sock", "/" + "x" * 107):
        message = refusal(written(f'[exporter]\nsocket = "{path}"'))
        assert message.startswith("exporter.socket = ")
        assert message.endswith("is not an absolute path in quotes of at most 107 bytes")
