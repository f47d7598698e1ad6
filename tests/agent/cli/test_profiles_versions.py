"""`inferometer profiles` on profiles that another version stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.profiling.document.codec import check
from command import call
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus
from store.writer import Writer
from stored import prepared, store_of
from trees import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

OLD = (FIXTURES / "profiles/1.1.json").read_text(encoding="utf-8")
LATER = json.dumps({**json.loads(OLD), "schema_version": "3.0"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose store holds a profile of schema 1.1, one of schema 3.0, and one that is none."""
    engine = open_database(str(prepared(store_of(tmp_path))))
    writer = Writer(engine)
    writer.register(Host("host", "name"), [], "profile", 1)
    for number, (name, document) in enumerate((("old", OLD), ("later", LATER), ("damaged", "{}")), 1):
        writer.save_run(Run(name, "host", writer.recording, "transformer", "{}", RunStatus.COMPLETE, number, number))
        writer.save_profile(Profile(name, name, number, "transformer", document))
    engine.dispose()
    return tmp_path


def test_an_old_profile_is_shown_and_exported_in_the_present_schema(home: Path) -> None:
    shown = call(home, "profiles", "show", "old")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "batch=8" in shown.stdout
    output = home / "old.json"
    assert call(home, "profiles", "export", "old", "-o", output).returncode == 0
    for text in (output.read_text(), *(call(home, "profiles", name, "old", *more).stdout for name, *more in SHOWN)):
        check(json.loads(text))


SHOWN = (("export",), ("show", "--json"))


def test_the_readable_profiles_are_listed_and_the_others_named_with_the_reason(home: Path) -> None:
    listed = call(home, "profiles", "list", "--json")
    assert listed.returncode == 0
    [only] = json.loads(listed.stdout)["profiles"]
    assert only["joules_per_inference"] == pytest.approx(0.0641, rel=0.01)
    assert "warning: profile later is left out: its schema version is 3.0" in listed.stderr
    assert "warning: profile damaged is left out: not a profile" in listed.stderr


@pytest.mark.parametrize(("name", "words"), [("later", "install a newer inferometer"), ("damaged", "not a profile")])
@pytest.mark.parametrize("command", ["show", "export"])
def test_a_profile_that_cannot_be_read_is_an_error_with_the_reason(
    home: Path, command: str, name: str, words: str
) -> None:
    result = call(home, "profiles", command, name)
    assert (result.returncode, result.stdout) == (1, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["1.0.json", "1.1.json", "2.0.json", "2.1.json"])
def test_a_file_of_a_profile_is_shown_and_upgraded_without_a_store(tmp_path: Path, name: str) -> None:
    path = FIXTURES / "profiles" / name
    shown = call(tmp_path, "profiles", "show", path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("Best point ")
    exported = call(tmp_path, "profiles", "export", path, "-o", "new.json")
    assert exported.returncode == 0
    assert exported.stderr.endswith(" written to new.json\n")
    upgraded = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    check(upgraded)
    assert call(tmp_path, "profiles", "show", "new.json").stdout == shown.stdout
    assert json.loads(call(tmp_path, "profiles", "show", "new.json", "--json").stdout) == upgraded


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it cannot be read (No such file or directory)"),
        (b"{}", "not a profile: its `schema` is not inferometer.profile"),
        (b"{", "not a profile: "),
        (b"\xff", "it is not UTF-8"),
        (b"[" * 100_000, "./file.json: not a profile: its values are nested too deep\n"),
        (b"1" * 5001, "./file.json: not a profile: a number in it has thousands of digits\n"),
        (LATER.encode(), "install a newer inferometer"),
        (b'{"schema": "inferometer.profile", "schema_version": "2.0"}', "not a profile: "),
    ],
)
def test_a_file_that_is_not_a_profile_is_refused_by_its_name(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "file.json").write_bytes(content)
    done = call(tmp_path, "profiles", "show", "./file.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ./file.json: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_any_size_is_read_up_to_a_limit(tmp_path: Path) -> None:
    done = call(tmp_path, "profiles", "show", "/dev/zero")
    assert (done.returncode, done.stderr) == (2, "error: /dev/zero: it is larger than 64 MiB. Name a JSON file\n")
