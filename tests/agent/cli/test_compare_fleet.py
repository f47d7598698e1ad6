"""`compare --fleet`, `report --fleet` and `fleet query`: over the store, a directory of bundles, and their refusals."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from agent.bundles.writing import bundle_bytes
from agent.cli.fleet_views import LeftOut
from agent.fleet.place import Refused
from command import call
from compared_documents import profile
from fleet_documents import measured, new_store
from stored import store_of

if TYPE_CHECKING:
    from pathlib import Path

    from agent.profiling.records import Document

ENERGIES = {"cool": 1.0, "mild": 1.01, "warm": 0.99, "hot": 1.3}


def documents() -> list[Document]:
    """Return the profiles of three days of four machines, one of which needs 30 % more energy."""
    found = []
    for number, (host, energy) in enumerate(ENERGIES.items()):
        for run in range(3):
            day = f"2026-01-{1 + run:02d}T00:00:00+00:00"
            document = profile(3 * number + run, host=host, energy=energy * (1 + 0.002 * (run - 1)), created=day)
            labels = {"site": "fra" if host == "hot" else "ams"}
            found.append(msgspec.structs.replace(document, host=msgspec.structs.replace(document.host, labels=labels)))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("fleet")
    engine = new_store(store_of(home))
    measured(engine, *map(msgspec.to_builtins, documents()))
    engine.dispose()
    return home


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bundles")
    for document in documents():
        plain = msgspec.to_builtins(document)
        (found / f"{document.id}.zip").write_bytes(bundle_bytes(plain, None, None))
    (found / "half.zip").write_bytes(b"PK half of a bundle")
    return found


def shown(done: Any, code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_view(found: dict[str, Any]) -> None:
    assert (found["hosts"], found["points"], found["outliers_tested"]) == (4, 48, 16)
    assert {each["place"]["host"] for each in found["outliers"]} == {"hot"}
    assert len(found["outliers"]) == 4
    assert found["outliers"][0]["ratio"]["mean"] == pytest.approx(1.3, rel=0.01)
    sites = {each["group"]["site"]: each["hosts"] for each in found["costs"][0]["machines"]}
    assert sites == {"ams": 3, "fra": 1}


def test_the_store_is_compared(store: Path) -> None:
    found = shown(call(store, "compare", "--fleet", "--json"))
    assert_view(found)
    assert found["group_by"] == ["hardware", "engine", "site", "month"]
    text = call(store, "compare", "--fleet", "--group-by", "site")
    assert text.returncode == 0
    assert "Machines that need 10 % more or less energy than their siblings" in text.stdout


def test_a_directory_of_bundles_is_compared_like_the_store_and_a_damaged_one_is_left_out(
    store: Path, folder: Path, tmp_path: Path
) -> None:
    done = call(tmp_path, "compare", "--fleet", folder, "--json")
    found, stored = shown(done, 1), shown(call(store, "compare", "--fleet", "--json"))
    assert_view(found)
    assert found["outliers"] == stored["outliers"]
    assert "half.zip" in done.stderr
    assert "it is left out" in done.stderr


def test_every_output_states_the_files_that_are_left_out(folder: Path, tmp_path: Path) -> None:
    note = "left out, as they cannot be used: 1 (half.zip)"
    assert note in shown(call(tmp_path, "compare", "--fleet", folder, "--json"), 1)["notes"]
    for words in (["compare"], ["report", "--format", "md"], ["report", "-o", "page.html"]):
        done = call(tmp_path, *words, "--fleet", folder)
        assert done.returncode == 1
        page = tmp_path / "page.html"
        assert note in " ".join((done.stdout, page.read_text(encoding="utf-8") if page.exists() else ""))


def test_the_note_names_the_first_files_as_one_line() -> None:
    left_out = LeftOut()
    for name in ("a\x1b[0m.zip", "b.zip", "c.zip", "d.zip", "e.zip"):
        left_out.report(Refused(name, "odd"))
    [note] = left_out.notes()
    assert note.endswith(": 5 (a\\x1b[0m.zip, b.zip, c.zip and 2 more)")


def test_a_filter_and_a_group_restrict_the_view(store: Path) -> None:
    words = ["compare", "--fleet", "--where", "site=ams", "--where", "point=batch=1", "--group-by", "host", "--json"]
    found = shown(call(store, *words))
    assert (found["hosts"], found["points"]) == (3, 9)
    assert [each["group"] for each in found["costs"][0]["machines"]] == [
        {"host": each} for each in ("cool", "mild", "warm")
    ]
    assert shown(call(store, "compare", "--fleet", "--since", "2027-01-01T00:00:00Z", "--json"))["hosts"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tariff", "t.toml"], "--tariff has no effect on a fleet"),
        (["--demand", "40/s"], "--demand has no effect on a fleet"),
        (["--group-by", "continent"], "--group-by: 'continent' is none of hardware, engine"),
        (["--group-by", "site,site"], "--group-by: 'site,site' has a property twice"),
        (["--where", "site"], "--where: 'site' is not NAME=VALUE"),
        (["--where", "watts=1"], "--where: 'watts=1' is not NAME=VALUE"),
        (["--where", "site=caf\udce9"], "--where: site=caf\\xe9 is not UTF-8"),
        (["--since", "yesterday"], "--since: 'yesterday' is not a time"),
        (["one", "two"], "a fleet has one place, and 2 are given"),
        (["ftp://elsewhere"], "is not a place of profiles"),
    ],
)
def test_a_wrong_option_is_refused(store: Path, words: list[str], message: str) -> None:
    done = call(store, "compare", "--fleet", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_options_of_a_fleet_need_a_fleet(store: Path) -> None:
    for command in (["compare", "a", "b"], ["report", "--format", "md"]):
        done = call(store, *command, "--where", "site=ams")
        assert (done.returncode, done.stderr) == (2, "error: --where is an option of a fleet: give --fleet too\n")
    done = call(store, "compare")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: name two or more profiles, or give --fleet")


def test_the_page_of_a_fleet_has_its_tables(store: Path, tmp_path: Path) -> None:
    done = call(store, "report", "--fleet", "-o", tmp_path / "fleet.html", "--group-by", "site,day", "--json")
    assert shown(done)["hosts"] == 4
    page = (tmp_path / "fleet.html").read_text(encoding="utf-8")
    assert "<h1>Inference cost of a fleet</h1>" in page
    assert page.count('<th scope="row">hot</th>') == 4


def test_markdown_csv_and_json_of_a_fleet(store: Path) -> None:
    text = call(store, "report", "--fleet", "--format", "md", "--group-by", "site").stdout
    assert text.startswith("# Inference cost of a fleet\n")
    assert "## Outliers" in text
    rows = list(csv.DictReader(io.StringIO(call(store, "report", "--fleet", "--format", "csv").stdout)))
    assert {row["site"] for row in rows} == {"ams", "fra"}
    assert float(rows[0]["cost_lower"]) < float(rows[0]["cost"]) < float(rows[0]["cost_upper"])
    assert_view(shown(call(store, "report", "--fleet", "--format", "json")))


def test_a_query_over_bundles_prints_a_table_or_json(folder: Path, tmp_path: Path) -> None:
    sql = "SELECT site, count(DISTINCT host_id) AS hosts FROM points GROUP BY site ORDER BY site"
    done = call(tmp_path, "fleet", "query", sql, "--from", folder, "--json")
    assert shown(done, 1) == [{"site": "ams", "hosts": 3}, {"site": "fra", "hosts": 1}]
    assert "half.zip" in done.stderr
    text = call(tmp_path, "fleet", "query", sql, "--from", folder).stdout
    assert text.splitlines()[0].split() == ["site", "hosts"]
    wrong = call(tmp_path, "fleet", "query", "SELECT nothing FROM points", "--from", folder)
    assert wrong.returncode == 2
    assert "\nerror: SQL: Binder Error: " in wrong.stderr
    missing = call(tmp_path, "fleet", "query", sql, "--from", tmp_path / "missing")
    assert missing.returncode == 2
    assert "this is not a directory" in missing.stderr
