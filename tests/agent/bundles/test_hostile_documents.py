"""A bundle with odd values at any place is refused, or is stored and can be listed, shown and queried."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agent.bundles.archive import read_bundle
from agent.bundles.importing import store_bundle
from agent.bundles.manifest import BundleError
from agent.bundles.writing import bundle_bytes
from agent.render.profile_summary import cells, summary
from agent.render.profile_text import profile_text
from bundled import archive, files_of, listed
from command import ROOT
from daemons import empty_store
from store.database import open_database
from store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
MANIFEST = json.loads(files_of(bundle_bytes(DOCUMENT, None, None))["manifest.json"])
STORED = ("id", "created", "status", "host", "workload", "devices")
"""The parts of a document whose values become columns."""
ODD = st.sampled_from(
    [None, -1, 10**30, 2**63, -1e308, "", "\0", "\ud800", "latest", "a\nb", "\x1b[2J", [], {"a": 1}, "9999-12-31T00:00"]
)


def places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*path, name))


PLACES = [place for name in STORED for place in places(DOCUMENT[name], (name,)) if "cpu_flags" not in place[:-1]]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "empty.db"
    path.write_bytes(empty_store())
    return path


@given(place=st.sampled_from(PLACES), odd=ODD)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_odd_value_is_refused_or_stored(empty: Path, place: tuple[str | int, ...], odd: object) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    record = document
    for name in place[:-1]:
        record = record[name]
    record[place[-1]] = odd
    path = shutil.copy(empty, empty.with_name("store.db"))
    engine = open_database(str(path))
    try:
        bundle = read_bundle(archive(listed({"profile.json": json.dumps(document).encode()}, MANIFEST)))
        assert store_bundle(bundle, engine) is True
        assert store_bundle(bundle, engine) is False
        [profile] = Reader(engine).profiles()
        assert profile.imported
        with engine.connect() as connection:
            assert len(connection.execute(text("SELECT * FROM v_profile_points")).all()) == len(document["points"])
        assert cells(summary(bundle.document))
        assert profile_text(bundle.document, 80)
    except BundleError:
        return
    finally:
        engine.dispose()
        for each in path.parent.glob("store.db*"):
            each.unlink()
