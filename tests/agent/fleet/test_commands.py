"""The commands of a fleet on a database: from its roles to the profiles in the store of a reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command import call
from fleet_databases import OWNER
from fleet_documents import document_of, measured, new_store
from stored import store_of

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system


def test_the_commands_initialize_push_list_and_pull(database: FleetDatabase, tmp_path: Path) -> None:
    def url(user: str) -> str:
        return database.server.url(database.name, user)

    initialized = call(tmp_path, "fleet", "init", "--to", url(OWNER), "--json")
    assert json.loads(initialized.stdout)["schema"] >= "0007"
    home, reader = tmp_path / "a", tmp_path / "reader"
    reader.mkdir()
    engine = new_store(store_of(home))
    measured(engine, document_of("a"), document_of("b"))
    engine.dispose()
    pushed = call(home, "fleet", "push", "--to", url("host_a"))
    assert (pushed.returncode, pushed.stdout) == (1, "1 pushed, 0 there already, 1 refused\n")
    assert pushed.stderr.startswith("refused: b-0: its row-level security allows this login the rows of its own host")
    hosts = json.loads(call(tmp_path, "fleet", "status", "--from", url(OWNER), "--json").stdout)["hosts"]
    assert [(host["name"], host["state"], host["profiles"]) for host in hosts] == [
        ("host_b", "missing", 0),
        ("a", "stale", 1),
    ]
    pulled = call(reader, "fleet", "pull", "--from", url(OWNER))
    assert (pulled.returncode, pulled.stdout, pulled.stderr) == (0, "1 pulled, 0 refused\n", "")
    assert json.loads(call(reader, "profiles", "export", "a-0").stdout) == document_of("a")
    shown = call(tmp_path, "profiles", "export", "a-0", "--database", url(OWNER))  # by the beginning of the stored id
    assert json.loads(shown.stdout) == document_of("a")


def test_a_reader_compares_the_machines_of_a_database_and_a_host_sees_its_own(
    database: FleetDatabase, tmp_path: Path
) -> None:
    for host in ("a", "b"):
        database.place(f"host_{host}").add([document_of(host)], anonymized=False)
    database.server.psql(database.name, "CREATE ROLE alice LOGIN IN ROLE inferometer_readers")
    for login, hosts in (("alice", 2), ("host_a", 1)):
        url = database.server.url(database.name, login)
        done = call(tmp_path, "compare", "--fleet", url)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{hosts} hosts, " if hosts > 1 else "1 host, ")
        found = json.loads(call(tmp_path, "compare", "--fleet", url, "--json").stdout)
        assert found["hosts"] == hosts
        shown = json.loads(call(tmp_path, "fleet", "status", "--from", url, "--json").stdout)["hosts"]
        assert [host["name"] for host in shown if host["profiles"]] == ["a", "b"][:hosts]
        report = call(tmp_path, "report", "--fleet", url, "-o", tmp_path / "fleet.html")
        assert report.returncode == 0, report.stderr
