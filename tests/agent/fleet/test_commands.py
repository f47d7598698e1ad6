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
