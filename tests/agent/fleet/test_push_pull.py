"""Pushes and pulls between stores and places: nothing is lost, nothing is doubled."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from agent.bundles.writing import bundle_bytes
from agent.fleet.bundle_points import points_of_bundles
from agent.fleet.directory import OTHER_CONTENT, DirectoryPlace
from agent.fleet.errors import FleetError
from agent.fleet.place import Refused
from agent.fleet.pull import pull
from agent.fleet.push import Selection, push
from agent.fleet.views import fleet_view
from fleet_documents import ODD, START_NS, document_of, measured, odd_text
from store.fleet_filter import PointFilter
from store.points_in_memory import points_in_memory
from store.reader import Reader
from store.records import Profile
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from agent.fleet.place import Added


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    folder = tmp_path / "fleet"
    folder.mkdir()
    return DirectoryPlace(folder)


def stored(engine: Engine) -> dict[str, dict[str, Any]]:
    return {profile.id: json.loads(profile.document) for profile in Reader(engine).profiles()}


def test_profiles_of_two_stores_reach_a_third_unchanged(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    documents = [document_of("a"), document_of("a", 1), document_of("b")]
    for engine, own in ((store("a"), documents[:2]), (store("b"), documents[2:])):
        measured(engine, *own)
        assert push(Reader(engine), place, Selection()).uids == [each["id"] for each in own]
    head = store("head")
    assert pull(place, head).uids == ["a-0", "a-1", "b-0"]
    assert stored(head) == {each["id"]: each for each in documents}
    assert all(profile.imported for profile in Reader(head).profiles())


def test_a_second_push_and_a_second_pull_add_nothing(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    engine, head = store("a"), store("head")
    measured(engine, document_of("a"), document_of("a", 1))
    push(Reader(engine), place, Selection())
    again = push(Reader(engine), place, Selection())
    assert (again.uids, again.present, again.refused) == ([], 2, [])
    pull(place, head)
    assert pull(place, head).uids == []
    assert pull(place, engine).uids == []


def test_a_profile_that_another_pull_imports_meanwhile_is_not_counted(
    store: Callable[[str], Engine], place: DirectoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, head, register, others = store("a"), store("head"), Writer.register, list[str]()
    measured(engine, document_of("a"), document_of("a", 1))
    push(Reader(engine), place, Selection())

    def after_another_pull(self: Writer, *given: Any) -> Any:
        monkeypatch.undo()
        others.extend(pull(place, head).uids)
        return register(self, *given)

    monkeypatch.setattr(Writer, "register", after_another_pull)
    assert pull(place, head).uids == []
    assert others == ["a-0", "a-1"]
    assert set(stored(head)) == {"a-0", "a-1"}


class Interrupted(DirectoryPlace):
    """Fails after the first part of a push."""

    additions = 0

    def add(self, documents: Sequence[dict[str, Any]], *, anonymized: bool) -> Added:
        self.additions += 1
        if self.additions > 1:
            raise FleetError("interrupted")
        return super().add(documents, anonymized=anonymized)


def test_an_interrupted_push_is_resumed(store: Callable[[str], Engine], place: DirectoryPlace, tmp_path: Path) -> None:
    engine = store("a")
    measured(engine, *(document_of("a", number) for number in range(45)))
    with pytest.raises(FleetError, match="interrupted"):
        push(Reader(engine), Interrupted(tmp_path / "fleet"), Selection())
    left: list[tuple[int, int]] = []
    done = push(Reader(engine), place, Selection(), lambda *numbers: left.append(numbers))
    assert (len(done.uids), done.present) == (25, 20)
    assert left == [(0, 25), (20, 5), (25, 0)]


def test_only_the_profiles_since_a_time_are_pushed_and_pulled(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine, hour_ns = store("a"), 3600 * 10**9
    measured(engine, *(document_of("a", number) for number in range(4)))
    assert push(Reader(engine), place, Selection(since_ns=START_NS + hour_ns)).uids == ["a-1", "a-2", "a-3"]
    assert pull(place, store("head"), START_NS + 3 * hour_ns).uids == ["a-3"]


def test_imported_profiles_are_pushed_on_request_only(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    engine, head = store("a"), store("head")
    measured(engine, document_of("a"))
    push(Reader(engine), place, Selection())
    pull(place, head)
    folder = place._folder
    (folder / "a-0.zip").unlink()
    assert push(Reader(head), place, Selection()).uids == []
    assert push(Reader(head), place, Selection(imported=True)).uids == ["a-0"]
    assert push(Reader(engine), place, Selection()).present == 1


def test_an_anonymized_push_has_no_name_and_is_made_once(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    engine = store("secret-host")
    measured(engine, document_of("secret-host"))
    [uid] = push(Reader(engine), place, Selection(anonymized=True)).uids
    again = push(Reader(engine), place, Selection(anonymized=True))
    assert uid.startswith("anonymous-")
    assert (again.uids, again.present) == ([], 1)
    head = store("head")
    pull(place, head)
    text = json.dumps(stored(head))
    assert "secret-host" not in text
    assert document_of("a")["host"]["boot_id"] not in text


def test_a_profile_that_cannot_be_read_is_refused_and_the_others_are_pushed(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine = store("a")
    measured(engine, document_of("a"), document_of("a", 1), document_of("a", 2))
    damaged = Profile("a-1", "a-1", START_NS + 1, "transformer", '{"schema": "other"}')
    Writer(engine).save_profile(damaged)
    done = push(Reader(engine), place, Selection())
    assert done.uids == ["a-0", "a-2"]
    assert [each.name for each in done.refused] == ["a-1"]
    assert "its `schema` is not inferometer.profile" in done.refused[0].reason


def test_a_conflict_and_a_damaged_bundle_do_not_stop_a_pull(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine, head = store("a"), store("head")
    measured(engine, document_of("a"), document_of("a", 1), document_of("a", 2))
    push(Reader(engine), place, Selection())
    (place._folder / "a-1.zip").write_bytes(b"PK\5\6 half")
    done = pull(place, head)
    assert done.uids == ["a-0", "a-2"]
    assert [each.name for each in done.refused] == ["a-1.zip"]


def test_a_profile_of_a_wrong_clock_is_pulled_like_any_other(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine, head = store("a"), store("head")
    measured(engine, document_of("a", 200_000), document_of("a", -200_000))  # more than twenty years ahead and behind
    assert len(push(Reader(engine), place, Selection()).uids) == 2
    assert len(pull(place, head).uids) == 2
    measured(engine, document_of("a", 1))  # between them: a cursor by time would pass over it
    push(Reader(engine), place, Selection())
    assert pull(place, head).uids == ["a-1"]


def bundle_of(text: str, uid: str) -> bytes:
    """Return a bundle with a document that this program would not write."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle_bytes(document_of("a", id=uid), None, None))) as intact:
        manifest = json.loads(intact.read("manifest.json"))
    content = text.encode()
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"] = {"profile.json": facts}
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("profile.json", content)
    return stream.getvalue()


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_profile_is_refused_by_its_uid_and_the_others_are_pushed(
    store: Callable[[str], Engine], place: DirectoryPlace, odd: str
) -> None:
    engine = store("a")
    measured(engine, document_of("a"), document_of("a", 1), document_of("a", 2))
    Writer(engine).save_profile(Profile("a-1", "a-1", START_NS + 1, "transformer", odd_text("a", 1, odd)))
    done = push(Reader(engine), place, Selection())
    assert {"a-0", "a-2"} <= set(done.uids)
    assert [each.name for each in done.refused] == [uid for uid in ("a-1",) if uid not in done.uids]
    assert all(each.reason for each in done.refused)
    assert pull(place, store("head")).uids[0] == "a-0"


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_bundle_is_refused_and_the_others_are_pulled_and_compared(
    store: Callable[[str], Engine], place: DirectoryPlace, odd: str
) -> None:
    place.add([document_of("a"), document_of("a", 2)], anonymized=False)
    (place._folder / "a-1.zip").write_bytes(bundle_of(odd_text("a", 1, odd), "a-1"))
    head = store("head")
    done = pull(place, head)
    assert {"a-0", "a-2"} <= set(done.uids)
    assert [each.name.removesuffix(".zip") for each in done.refused] == [u for u in ("a-1",) if u not in done.uids]
    assert [run for run in ("a-0", "a-1", "a-2") if Reader(head).run(run)] == sorted(done.uids)
    reported: list[Refused] = []
    points = list(points_of_bundles(place.bundles(0, {}), reported.append))
    assert {point.profile_id for point in points} >= {"a-0", "a-2"}
    with points_in_memory(points) as engine:
        assert fleet_view(engine, PointFilter(), "memory").points == len(points)


def test_a_profile_whose_content_differs_there_is_a_conflict(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine = store("a")
    measured(engine, document_of("a"), document_of("a", 1))
    place.add([document_of("a", notes=["other"])], anonymized=False)
    before = (place._folder / "a-0.zip").read_bytes()
    done = push(Reader(engine), place, Selection())
    assert (done.uids, done.present, done.refused) == (["a-1"], 0, [Refused("a-0", OTHER_CONTENT)])
    assert (place._folder / "a-0.zip").read_bytes() == before


def test_the_documents_of_one_transaction_are_bounded(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    engine, parts = store("a"), list[tuple[int, int]]()
    measured(engine, *(document_of("a", number, notes=["x" * (3 << 20)]) for number in range(4)))
    push(Reader(engine), place, Selection(), lambda *numbers: parts.append(numbers))
    assert parts == [(2, 2), (4, 0)]


def test_only_the_named_profiles_are_pushed(store: Callable[[str], Engine], place: DirectoryPlace) -> None:
    engine = store("a")
    measured(engine, document_of("a"), document_of("a", 1))
    assert push(Reader(engine), place, Selection(uids=frozenset({"a-1", "absent"}))).uids == ["a-1"]


def test_a_refused_profile_of_an_anonymized_push_has_its_own_name(
    store: Callable[[str], Engine], place: DirectoryPlace
) -> None:
    engine = store("a")
    measured(engine, document_of("a"))
    [uid] = push(Reader(engine), place, Selection(anonymized=True)).uids
    (place._folder / f"{uid}.zip").unlink()
    (place._folder / f"{uid}.zip").mkdir()
    assert [each.name for each in push(Reader(engine), place, Selection(anonymized=True)).refused] == ["a-0"]
