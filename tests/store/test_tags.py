"""Tags and deletion of profiles."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from store import schema
from store.errors import StoreError
from store.maintenance.integrity import check
from store.reader import Reader
from store.records import Profile, Run, RunStatus, Window
from store.writer import Writer


@pytest.fixture
def writer(engine, host):
    writer = Writer(engine)
    writer.register(host, [], "test", 1)
    for run in ("one", "two"):
        writer.save_run(Run(run, host.id, writer.recording, "onnx", "{}", RunStatus.COMPLETE, 1, 2))
        writer.save_window(Window(run, "b", "decode", 1, 1, 2))
        writer.save_profile(Profile(f"p-{run}", run, 1, "onnx", "{}"))
    return writer


def tags(engine):
    return {profile.id: profile.tag for profile in Reader(engine).profiles()}


def test_a_tag_can_be_set_changed_and_removed(engine, writer):
    assert tags(engine) == {"p-one": None, "p-two": None}
    assert writer.tag_profile("p-one", "baseline")
    assert writer.tag_profile("p-one", "before")
    assert tags(engine) == {"p-one": "before", "p-two": None}
    assert writer.tag_profile("p-one", None)
    assert tags(engine) == {"p-one": None, "p-two": None}
    assert not writer.tag_profile("nobody", "x")
    assert check(engine) == ()


def test_a_tag_is_unique_among_profiles(writer):
    writer.tag_profile("p-one", "baseline")
    with pytest.raises(StoreError, match="profile p-one already has the tag 'baseline'"):
        writer.tag_profile("p-two", "baseline")
    writer.tag_profile("p-one", "baseline")


def test_saving_a_profile_again_preserves_its_tag(engine, writer):
    writer.tag_profile("p-one", "baseline")
    writer.save_profile(Profile("p-one", "one", 1, "onnx", '{"new": 1}'))
    assert tags(engine)["p-one"] == "baseline"


def test_deleting_a_profile_deletes_its_run_but_not_that_of_another(engine, writer):
    writer.save_profile(Profile("p-more", "one", 1, "onnx", "{}"))
    assert writer.delete_profile("p-one")
    assert Reader(engine).run("one") is not None
    assert writer.delete_profile("p-more")
    assert Reader(engine).run("one") is None
    assert Reader(engine).windows("one") == ()
    assert set(tags(engine)) == {"p-two"}
    assert not writer.delete_profile("p-one")
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(schema.windows)).scalar() == 1
    assert check(engine) == ()


def test_deleting_a_run_deletes_its_profiles_and_windows_and_no_others(engine, writer):
    writer.delete_run("one")
    writer.delete_run("one")
    assert Reader(engine).run("one") is None
    assert Reader(engine).windows("one") == ()
    assert set(tags(engine)) == {"p-two"}
    assert len(Reader(engine).windows("two")) == 1
    assert check(engine) == ()
