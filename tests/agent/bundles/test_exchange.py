"""A bundle takes a profile with its samples to another store, once, and is refused if it was changed."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from agent.bundles.writing import bundle_bytes
from bundled import SECONDS, START_NS, archive, files_of, store_run
from command import ROOT, call
from store.database import open_database
from store.reader import Reader
from stored import SECOND_NS, record, store_of, store_profile

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
UID = DOCUMENT["id"]


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    """Two homes: one whose store has a profile with samples, and an empty one."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for home in (ours, theirs):
        home.mkdir()
    store_run(ours, DOCUMENT)
    return ours, theirs


def exported(home: Path, *options: object) -> Path:
    path = home / "bundle.zip"
    done = call(home, "profiles", "export", UID, "--bundle", "-o", path, *options)
    assert (done.returncode, done.stdout) == (0, "")
    return path


def samples_of(home: Path) -> list[dict[str, str]]:
    done = call(home, "samples", "--profile", UID)
    assert done.returncode == 0
    return list(csv.DictReader(done.stdout.splitlines()))


def test_a_profile_and_its_samples_are_the_same_in_the_other_store(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    bundle = exported(ours)
    done = call(theirs, "profiles", "import", bundle)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{UID} imported\n", "")
    assert json.loads(call(theirs, "profiles", "export", UID).stdout) == DOCUMENT
    assert samples_of(theirs) == samples_of(ours)
    assert len(samples_of(theirs)) == 2 * (SECONDS + 1)
    assert files_of(exported(theirs)) == files_of(bundle)


def test_the_samples_of_a_profile_are_those_of_its_run(homes: tuple[Path, Path]) -> None:
    record(homes[0], [START_NS + SECOND_NS])  # by the service, at the same time
    found = call(homes[0], "samples", "--profile", "latest", "--channel", "*/power_watts", "--json")
    watts = [each["value"] for each in json.loads(found.stdout)["samples"]]
    assert watts == [float(second) for second in range(SECONDS + 1)]
    refused = call(homes[0], "samples", "--profile", "latest", "--since", "1h")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "leave out --since and --until" in refused.stderr


def test_an_import_is_visible_in_list_and_show(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    call(theirs, "profiles", "import", exported(ours))
    [mine] = json.loads(call(ours, "profiles", "list", "--json").stdout)["profiles"]
    [other] = json.loads(call(theirs, "profiles", "list", "--json").stdout)["profiles"]
    assert (mine["origin"], other["origin"]) == ("measured", "imported")
    assert "complete, imported" in call(theirs, "profiles", "list").stdout
    assert "imported: this profile comes from another store" in call(theirs, "profiles", "show").stdout
    assert "imported" not in call(ours, "profiles", "show").stdout


def test_importing_again_changes_nothing(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    bundle = exported(ours)
    for stored in (True, False):
        done = call(theirs, "profiles", "import", bundle, "--json")
        expected = {"id": UID, "file": str(bundle), "stored": stored, "signer": None}
        assert json.loads(done.stdout) == {"profiles": [expected]}
    assert call(ours, "profiles", "import", bundle).stdout == f"{UID} was stored already\n"
    assert len(samples_of(theirs)) == 2 * (SECONDS + 1)


def test_the_same_uid_with_other_content_is_an_error(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    call(theirs, "profiles", "import", exported(ours))
    changed = theirs / "changed.zip"
    changed.write_bytes(bundle_bytes({**DOCUMENT, "notes": ["other"]}, None, None))
    fewer = exported(ours, "--no-samples")
    for path, words in ((changed, "with other content"), (fewer, "with other samples")):
        done = call(theirs, "profiles", "import", path)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"error: {path}: the profile {UID} is stored already, {words}: nothing was changed" in done.stderr
    assert json.loads(call(theirs, "profiles", "export", UID).stdout) == DOCUMENT


def test_a_run_of_this_store_is_not_replaced_and_an_interrupted_import_is_taken_over(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    bundle = exported(ours)
    store_profile(theirs, json.dumps(DOCUMENT))
    with closing(sqlite3.connect(store_of(theirs))) as store, store:
        store.execute("DELETE FROM profiles")
    refused = call(theirs, "profiles", "import", bundle)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"a run of this store without a profile has the id {UID}" in refused.stderr
    with closing(sqlite3.connect(store_of(theirs))) as store, store:
        store.execute("DELETE FROM runs")
    call(theirs, "profiles", "import", bundle)
    with closing(sqlite3.connect(store_of(theirs))) as store, store:
        store.execute("DELETE FROM profiles")
    assert call(theirs, "profiles", "import", bundle).stdout == f"{UID} imported\n"
    assert len(samples_of(theirs)) == 2 * (SECONDS + 1)


def test_an_imported_host_is_never_a_host_of_this_store(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    store_profile(theirs, json.dumps({**DOCUMENT, "id": "own"}))
    call(theirs, "profiles", "import", exported(ours))
    engine = open_database(str(store_of(theirs)))
    assert [host.id for host in Reader(engine).hosts()] == ["host", f"import-{DOCUMENT['host']['id']}"]
    engine.dispose()
    assert call(theirs, "db", "check").returncode == 0


def test_deleting_an_import_removes_it_and_lets_it_be_imported_again(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    bundle = exported(ours)
    call(theirs, "profiles", "import", bundle)
    assert call(theirs, "profiles", "delete", UID, "--yes").returncode == 0
    assert call(theirs, "profiles", "import", bundle).stdout == f"{UID} imported\n"


def test_the_samples_of_an_import_outlast_the_retention(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    call(theirs, "profiles", "import", exported(ours))
    assert call(theirs, "db", "prune", "--older-than", "1s", "--yes").returncode == 0
    assert len(samples_of(theirs)) == 2 * (SECONDS + 1)


def test_a_bundle_has_the_tariff_and_the_checksums(homes: tuple[Path, Path]) -> None:
    files = files_of(exported(homes[0]))
    manifest = json.loads(files["manifest.json"])
    assert set(files) == {"manifest.json", "profile.json", "samples.parquet", "tariff.json"}
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    assert (manifest["uid"], manifest["anonymized"], manifest["started_ns"]) == (UID, False, START_NS)
    assert json.loads(files["tariff.json"]) == DOCUMENT["tariff"]


def test_a_file_of_a_profile_makes_a_bundle_without_samples(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    path = ours / "file.zip"
    assert call(ours, "profiles", "export", ROOT / "docs/serving.example.json", "--bundle", "-o", path).returncode == 0
    assert set(files_of(path)) == {"manifest.json", "profile.json", "tariff.json"}
    assert call(theirs, "profiles", "import", path).returncode == 0
    assert call(theirs, "profiles", "show").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bundle",), "name it with -o"),
        (("--bundle", "--format", "csv", "-o", "x.zip"), "has no --format"),
        (("--sign", "key"), "options of --bundle"),
        (("--no-samples",), "options of --bundle"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = call(tmp_path, "profiles", "export", ROOT / "docs/profile.example.json", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def key_pair(folder: Path, name: str) -> Path:
    key = folder / name
    line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
    subprocess.run(line, check=True)
    return key


def test_a_signature_is_verified_against_the_allowed_signers(homes: tuple[Path, Path]) -> None:
    ours, theirs = homes
    key, stranger = key_pair(ours, "alice"), key_pair(ours, "mallory")
    signers = theirs / "allowed_signers"
    signers.write_text(f"alice@example.com {key.with_suffix('.pub').read_text()}")
    signed = exported(ours, "--sign", key)
    good = call(theirs, "profiles", "import", signed, "--verify", signers)
    assert (good.returncode, good.stdout) == (0, f"{UID} imported, signed by alice@example.com\n")
    assert "its signature was not verified" in call(theirs, "profiles", "import", signed).stderr
    files = files_of(signed)
    foreign = files_of(exported(ours, "--sign", stranger))["manifest.json.sig"]
    unsigned = {name: content for name, content in files.items() if name != "manifest.json.sig"}
    for content, words in (
        ({**files, "manifest.json.sig": foreign}, "not valid for a signer"),
        ({**files, "manifest.json.sig": b"nothing"}, "not valid for a signer"),
        ({**files, "manifest.json": files["manifest.json"].replace(b"false", b"true")}, "not valid for a signer"),
        (unsigned, "it is not signed"),
    ):
        path = theirs / "bad.zip"
        path.write_bytes(archive(content))
        done = call(theirs, "profiles", "import", path, "--verify", signers)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


def test_a_key_that_cannot_sign_and_a_missing_program_are_named(
    homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = call(homes[0], "profiles", "export", UID, "--bundle", "-o", "x.zip", "--sign", "no-such-key")
    assert done.returncode == 2
    assert "--sign: no-such-key cannot sign" in done.stderr
    assert not os.path.lexists(homes[0] / "x.zip")
    monkeypatch.setattr("shutil.which", lambda _: None)
    missing = call(homes[0], "profiles", "export", UID, "--bundle", "-o", "x.zip", "--sign", "no-such-key")
    assert "ssh-keygen is not installed: apt install openssh-client" in missing.stderr
