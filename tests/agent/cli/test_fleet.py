"""`inferometer fleet`: profiles of two homes in a directory, and the errors of a place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from agent.host.inventory import host_id
from command import call
from fleet_documents import document_of, measured, new_store
from stored import store_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "fleet"
    made.mkdir()
    return made


def home_of(tmp_path: Path, host: str, profiles: int = 1) -> Path:
    """Return a home whose store has profiles of a host."""
    home = tmp_path / host
    engine = new_store(store_of(home))
    measured(engine, *(document_of(host, number) for number in range(profiles)))
    engine.dispose()
    return home


def test_profiles_of_two_hosts_are_collected_in_a_third(tmp_path: Path, folder: Path) -> None:
    for host, number in (("a", 2), ("b", 1)):
        done = call(home_of(tmp_path, host, number), "fleet", "push", "--to", folder)
        expected = f"{number} pushed, 0 there already, 0 refused\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
    head = tmp_path / "head"
    head.mkdir()
    done = call(head, "fleet", "pull", "--from", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 pulled, 0 refused\n", "")
    found = json.loads(call(head, "profiles", "list", "--json").stdout)["profiles"]
    assert [(each["id"], each["origin"]) for each in found] == [
        ("a-1", "imported"),
        ("a-0", "imported"),
        ("b-0", "imported"),
    ]


def test_results_are_printed_as_json(tmp_path: Path, folder: Path) -> None:
    home = home_of(tmp_path, "a")
    for uids, present in ((["a-0"], 0), ([], 1)):
        done = json.loads(call(home, "fleet", "push", "--to", folder, "--json").stdout)
        assert done == {"pushed": uids, "present": present, "refused": []}
    (folder / "x.zip").write_bytes(b"PK")
    pulled = call(home, "fleet", "pull", "--from", folder, "--json")
    assert pulled.returncode == 1
    [refused] = json.loads(pulled.stdout)["refused"]
    assert refused["name"] == "x.zip"
    assert "refused: x.zip: it is not a bundle" in pulled.stderr


def test_the_status_has_one_line_for_anonymized_profiles(tmp_path: Path, folder: Path) -> None:
    call(home_of(tmp_path, "a", 3), "fleet", "push", "--to", folder, "--anonymize")
    done = call(tmp_path, "fleet", "status", "--from", folder, "--json")
    [host] = json.loads(done.stdout)["hosts"]
    assert (host["host_id"], host["profiles"], host["state"]) == ("anonymous", 3, "current")


def test_the_status_lists_current_stale_and_missing_hosts(tmp_path: Path, folder: Path) -> None:
    for host in ("a", "b"):
        call(home_of(tmp_path, host), "fleet", "push", "--to", folder)
    names = tmp_path / "hosts.txt"
    names.write_text("# every host\na\n\nc\n")
    done = call(tmp_path, "fleet", "status", "--from", folder, "--expect", names, "--stale", "5200w")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "3 hosts: 2 current, 0 stale, 0 ahead, 1 missing"
    assert re.fullmatch(r"c +missing +0 +- +- +-", lines[3])
    found = json.loads(call(tmp_path, "fleet", "status", "--from", folder, "--json").stdout)
    assert [(each["name"], each["profiles"]) for each in found["hosts"]] == [("a", 1), ("b", 1)]
    assert found["versions"] == {"0.1.0": 2}


def test_the_place_of_the_configuration_is_the_default(tmp_path: Path, folder: Path) -> None:
    home = home_of(tmp_path, "a")
    config = tmp_path / "config.toml"
    config.write_text(f'[fleet]\nto = "{folder}"\nanonymize = true\n')
    done = json.loads(call(home, "--config", config, "fleet", "push", "--json").stdout)
    assert done["pushed"][0].startswith("anonymous-")
    assert len(json.loads(call(home, "--config", config, "fleet", "status", "--json").stdout)["hosts"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("push",), 2, "no place of profiles: name one with --to or --from, or set fleet.to in the configuration"),
        (("init",), 2, "no database: name one with --to"),
        (("push", "--to", "/nonexistent"), 2, "/nonexistent: this is not a directory. Make it, or mount it"),
        (("pull", "--from", "mysql://db/fleet"), 2, "'mysql://db/fleet' is not a place of profiles"),
        (("push", "--to", "mysql://u:s3cret@db/fleet"), 2, "'mysql://u:***@db/fleet' is not a place of profiles"),
        (("push", "--to", "postgresql://u:s3cret@db/f"), 2, "the URL of a fleet has a password"),
        (("push", "--to", "postgresql://u@db/f?sslmode=require"), 2, "db: sslmode=require does not verify the server"),
        (("push", "--to", "postgresql://u@db/f", "--password-file", "/nonexistent"), 2, "password file /nonexistent"),
        (("status", "--from", "/", "--stale", "soon"), 2, "--stale: 'soon' is not a duration"),
        (("status", "--from", "/", "--expect", "/nonexistent"), 2, "--expect /nonexistent: it cannot be read"),
        (("push", "--to", "/", "--since", "soon"), 2, "--since: 'soon' is not a time"),
        (("pull", "--from", "postgresql://u@h/caf\udce9"), 2, "postgresql://u@h/caf\\xe9: this is not UTF-8\n"),
        (("init", "--to", "/"), 2, "/: a directory needs no tables"),
    ],
)
def test_an_error_names_the_place_the_cause_and_the_remedy(
    tmp_path: Path, words: tuple[str, ...], code: int, error: str
) -> None:
    done = call(tmp_path, "fleet", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {error}" in done.stderr
    assert "s3cret" not in done.stderr


def test_names_of_hosts_that_are_not_utf_8_are_refused(tmp_path: Path, folder: Path) -> None:
    names = tmp_path / "hosts.txt"
    names.write_bytes(b"\xff")
    done = call(tmp_path, "fleet", "status", "--from", folder, "--expect", names)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --expect {names}: it is not UTF-8. Save the file as UTF-8\n"


def test_a_store_that_does_not_exist_has_nothing_to_push(tmp_path: Path, folder: Path) -> None:
    done = call(tmp_path, "fleet", "push", "--to", folder)
    assert (done.returncode, done.stdout) == (0, "0 pushed, 0 there already, 0 refused\n")


def test_a_named_store_that_does_not_exist_is_an_error(tmp_path: Path, folder: Path) -> None:
    named = tmp_path / "typo.db"
    done = call(tmp_path, "--database", named, "fleet", "push", "--to", folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {named}: there is no database here yet" in done.stderr
    assert not named.exists()


def test_the_scripts_and_the_id_of_the_host_are_printed(tmp_path: Path) -> None:
    for name, words in (("roles", "inferometer_pushers"), ("host", "fleet_logins"), ("security", "CREATE POLICY")):
        done = call(tmp_path, "fleet", "sql", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert words in done.stdout
    assert call(tmp_path, "fleet", "sql", "host", "-o", "host.sql").returncode == 0
    assert (tmp_path / "host.sql").read_text() == call(tmp_path, "fleet", "sql", "host").stdout
    assert call(tmp_path, "fleet", "id").stdout == f"{host_id()}\n"
    assert json.loads(call(tmp_path, "fleet", "id", "--json").stdout) == {"id": host_id()}
