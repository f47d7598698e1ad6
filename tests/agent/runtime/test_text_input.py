"""Configuration and tariff files: any content gives values or one error that names the file and the cause."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import ConfigError, check_links, load, override
from agent.config.table import TABLES
from agent.cost.limits import TariffError
from agent.cost.tariff import Tariff
from agent.cost.tariff_file import load_tariff
from agent.runtime.console import printable_line
from agent.runtime.text_input import MAX_BYTES, TextInputError, quoted, read_toml
from command import call
from nobody import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can create device nodes and files of others")
DIGITS = 10**400
CONFIG_KEYS = (*(table.path(setting) for table in TABLES for setting in table.settings), "unknown", "retention.unknown")
TARIFF_KEYS = ("price_per_kwh", "currency", "pue", "capital", "life_years", "residual_share", "utilization", "unknown")
VALUES = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(lambda value: f"{value!r}".replace("e", "e")),
    st.sampled_from(
        [
            *("true", "inf", "-inf", "nan", "''", "'  '", '"\\u0000"', '"\\u001b[31m"', '"\\u202e"', "1e400", "-1e400"),
            *(str(DIGITS), f"-{DIGITS}", "0x" + "f" * 5000, "9" * 5000, "1979-05-27", "07:32:00", "0,25", "1_0", "01"),
            *("[" * 400 + "]" * 400, "[" * 5000 + "]" * 5000, "{a=" * 3000 + "1" + "}" * 3000, "[]", "{}", "{a=1}"),
            *("'127.0.0.1:99999'", "'[::1]:1'", "'x:1'", "'" + "a" * 2000 + "'", "1" * 4301),
        ]
    ),
    st.text(max_size=20).map(lambda text: f'"{text}"'),
    st.text(max_size=20),
)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file.toml"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def check_error(error: Exception, path: Path) -> None:
    message = str(error)
    assert message.startswith(f"{path}: ")
    assert len(message) < len(str(path)) + 600
    assert printable_line(message) == message


def held(path: Path, read: Callable[[Path], object], kind: type[Exception]) -> None:
    """Read a file: it is accepted, or there is one error that names the file."""
    try:
        read(path)
    except kind as error:
        check_error(error, path)


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(st.sampled_from([*CONFIG_KEYS, *TARIFF_KEYS]), VALUES), max_size=4).map(
        lambda pairs: "".join(f"{key} = {value}\n" for key, value in pairs).encode("utf-8", "surrogatepass")
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTENT)
def test_any_content_is_accepted_or_refused_with_the_name_of_the_file(folder: Path, content: bytes) -> None:
    path = write(folder, content)
    held(path, load, ConfigError)
    held(path, load_tariff, TariffError)


@pytest.mark.parametrize("key", [*CONFIG_KEYS, *TARIFF_KEYS])
@pytest.mark.parametrize("value", [str(DIGITS), "0x" + "f" * 5000, "[" * 5000 + "]" * 5000, "9" * 5000])
def test_huge_numbers_and_deeply_nested_values_are_refused(folder: Path, key: str, value: str) -> None:
    path = write(folder, f"{key} = {value}".encode())
    for read, kind in ((load, ConfigError), (load_tariff, TariffError)):
        with pytest.raises(kind) as caught:
            read(path)
        check_error(caught.value, path)


@pytest.mark.parametrize(("name", "allowed"), [("raw_days", "number from 0 to"), ("raw_bytes", "whole number from 0")])
def test_an_excessive_amount_is_refused_with_the_allowed_range(folder: Path, name: str, allowed: str) -> None:
    path = write(folder, f"[retention]\n{name} = 1{'0' * 400}".encode())
    with pytest.raises(ConfigError, match=rf"retention\.{name} = 1.* is not a {allowed}"):
        load(path)


def test_a_byte_order_mark_is_accepted_in_both_files(folder: Path) -> None:
    assert load_tariff(write(folder, b"\xef\xbb\xbfprice_per_kwh = 0.5\n")).price_per_kwh == 0.5
    assert load(write(folder, b"\xef\xbb\xbflog_level = 'debug'\n")).log_level == "debug"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("price_per_kwh = 1".encode("utf-16"), "line 1 is not UTF-8. Save the file as UTF-8"),
        (b"a = 1\nb = '\xa3'", "line 2 is not UTF-8"),
        (b"a = '\x00'", "invalid character"),
        (b"a = 1\na = 2", "this is not TOML: Cannot overwrite a value"),
        (b"a = " + b"1" * 5001, "^this is not TOML: a number in it has thousands of digits$"),
        (b"a = " + b"[" * 50_000, "^this is not TOML: its values are nested too deep$"),
        (b"#" * (MAX_BYTES + 1), "it is larger than 1 MiB"),
    ],
)
def test_content_that_is_not_toml_is_refused_with_its_cause(folder: Path, content: bytes, words: str) -> None:
    with pytest.raises(TextInputError, match=words):
        read_toml(write(folder, content))


@needs_root
def test_an_endless_device_is_read_up_to_the_limit(tmp_path: Path) -> None:
    os.mknod(tmp_path / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    with pytest.raises(TextInputError, match="larger than 1 MiB"):
        read_toml(tmp_path / "zero")


def test_a_file_is_read_through_an_open_descriptor() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"log_level = 'error'")
    os.close(writer)
    try:
        assert load(Path(f"/dev/fd/{reader}")).log_level == "error"
    finally:
        os.close(reader)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file"), (Path("a\0b"), "NUL")):
        with pytest.raises(TextInputError, match=words):
            read_toml(path)


def foreign_link(folder: Path, target: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o1777)
    link = folder / "link"
    link.symlink_to(target)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    return link


@needs_root
def test_a_foreign_link_to_a_configuration_or_tariff_is_refused_by_name(tmp_path: Path) -> None:
    real = write(tmp_path, b"")
    link = foreign_link(tmp_path / "shared", real)
    for read, kind in ((load, ConfigError), (load_tariff, TariffError)):
        with pytest.raises(kind, match=f"the link {link} belongs to user {NOBODY}"):
            read(link)
    assert load_tariff(real) == Tariff()


@needs_root
@pytest.mark.parametrize("key", ["database", "path.sysfs", "path.procfs", "path.nvml_library"])
def test_a_foreign_link_is_refused_in_every_setting_that_is_a_path(tmp_path: Path, key: str) -> None:
    link = foreign_link(tmp_path / "shared", tmp_path)
    config = override(load(None), **{key.rpartition(".")[2]: f"{link}/inside"})
    with pytest.raises(ConfigError, match=rf"^{key} = .*the link {link} belongs to user {NOBODY}"):
        check_links(config)
    option = {"database": "--database", "path.nvml_library": "--path.nvml-library"}.get(key, f"--{key}")
    done = call(tmp_path, option, link / "inside", "db", "status")
    assert (done.returncode, f"the link {link}" in done.stderr) == (2, True)


@needs_root
@pytest.mark.parametrize("scheme", ["sqlite:///", "sqlite+pysqlite:///", "SQLite:///"])
def test_a_foreign_link_is_refused_in_the_url_of_a_database_file(tmp_path: Path, scheme: str) -> None:
    link = foreign_link(tmp_path / "shared links", tmp_path)
    for path in (str(link), str(link).replace(" ", "%20")):
        config = override(load(None), database=f"{scheme}{path}/inferometer.db")
        with pytest.raises(ConfigError, match=rf"^database = .*the link {link} belongs to user {NOBODY}"):
            check_links(config)
    done = call(tmp_path, "--database", f"{scheme}{link}/inferometer.db", "db", "status")
    assert (done.returncode, f"the link {link}" in done.stderr) == (2, True)
    check_links(override(load(None), database=f"postgresql:///{link}"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\x1b[31m\u202e", r"'a\x1b[31m\u202e'"), (2**20000, "a number of thousands of digits"), ([[[1]]], "[[[1]]]")],
    ids=["text", "number", "list"],
)
def test_a_value_is_shown_on_one_short_line(value: object, shown: str) -> None:
    assert quoted(value) == shown
