"""`inferometer profiles tag` and `delete`: a name that stands for an id, and profiles that go with their runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command import ROOT, call
from profile_runs import stored
from stored import store_profile

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the profiles p0, p1 and p2."""
    for number in range(3):
        name = f"p{number}"
        store_profile(tmp_path, json.dumps({**EXAMPLE, "id": name}), name)
    return tmp_path


def listed(home: Path) -> dict[str, str | None]:
    """Return the ids of the profiles with their tags."""
    found = json.loads(call(home, "profiles", "list", "--json").stdout)["profiles"]
    return {each["id"]: each["tag"] for each in found}


def test_a_tag_stands_for_the_id_everywhere(home: Path) -> None:
    done = call(home, "profiles", "tag", "p1", "baseline")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "p1 has the tag baseline\n")
    assert listed(home) == {"p0": None, "p1": "baseline", "p2": None}
    assert json.loads(call(home, "profiles", "show", "baseline", "--json").stdout)["id"] == "p1"
    assert json.loads(call(home, "profiles", "export", "baseline").stdout)["id"] == "p1"
    assert " baseline " in call(home, "profiles", "list").stdout


def test_a_tag_is_replaced_and_taken_away(home: Path) -> None:
    call(home, "profiles", "tag", "p1", "one")
    again = call(home, "profiles", "tag", "one", "two", "--json")
    assert json.loads(again.stdout) == {"id": "p1", "tag": "two"}
    assert listed(home)["p1"] == "two"
    removed = call(home, "profiles", "tag", "two", "--remove")
    assert (removed.returncode, removed.stderr) == (0, "p1 has no tag\n")
    assert set(listed(home).values()) == {None}


def test_a_tag_belongs_to_one_profile(home: Path) -> None:
    call(home, "profiles", "tag", "p1", "baseline")
    refused = call(home, "profiles", "tag", "p2", "baseline")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "profile p1 already has the tag 'baseline'" in refused.stderr
    assert listed(home)["p2"] is None


@pytest.mark.parametrize("tag", ["", "latest", "-x", "a b", "a\nb", "\x1b[31m", "x" * 65, "ä", "p0", "x.json", "a/b"])
def test_a_word_that_could_be_taken_for_something_else_is_not_a_tag(home: Path, tag: str) -> None:
    refused = call(home, "profiles", "tag", "p1", "--", tag)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert "\x1b" not in refused.stderr
    assert listed(home)["p1"] is None


@pytest.mark.parametrize("line", [("p1",), ("p1", "x", "--remove")])
def test_a_tag_is_either_given_or_removed(home: Path, line: tuple[str, ...]) -> None:
    refused = call(home, "profiles", "tag", *line)
    assert (refused.returncode, "give either a TAG or --remove" in refused.stderr) == (2, True)


def test_profiles_are_deleted_with_their_runs(home: Path) -> None:
    call(home, "profiles", "tag", "p2", "old")
    done = call(home, "profiles", "delete", "p0", "old", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "deleted p0\ndeleted p2\n")
    assert list(listed(home)) == ["p1"]
    assert stored(home, "p0") == (None, ())
    assert stored(home, "p1")[0] is not None


def test_without_yes_nothing_is_deleted_and_the_profiles_are_named(home: Path) -> None:
    refused = call(home, "profiles", "delete", "p0", "p1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "nothing was deleted; --yes deletes p0, p1" in refused.stderr
    assert list(listed(home)) == ["p0", "p1", "p2"]


def test_a_missing_profile_prevents_the_deletion_of_the_others(home: Path) -> None:
    refused = call(home, "profiles", "delete", "p0", "nothing-like-it", "--yes")
    assert refused.returncode == 1
    assert "no profile 'nothing-like-it' is stored" in refused.stderr
    assert list(listed(home)) == ["p0", "p1", "p2"]


def test_a_deletion_is_reported_as_json(home: Path) -> None:
    done = call(home, "profiles", "delete", "p0", "p0", "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": ["p0"]}
