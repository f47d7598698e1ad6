"""Links in the path of an output: followed, or refused if another user made them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.runtime.path_walk import ForeignLinkError
from nobody import NOBODY
from written_files import names, needs_root, write


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/target").write_text("old")
    (tmp_path / "hop").symlink_to("folder/target")
    (tmp_path / "link").symlink_to(tmp_path / "hop")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder/target").read_text() == "new"


def test_a_dangling_link_creates_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link")
    assert (tmp_path / "target").read_text() == "new"


def test_relative_paths_and_parent_folders_resolve_as_in_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "short").symlink_to("a/b")
    monkeypatch.chdir(tmp_path / "a")
    write(Path("b/../one"))
    write(Path("../short/../two"))
    assert sorted(names(tmp_path / "a")) == ["b", "one", "two"]


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "one")


@needs_root
@pytest.mark.parametrize("last", [True, False])
def test_a_foreign_link_in_a_sticky_folder_is_refused_by_name(tmp_path: Path, sticky: Path, last: bool) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/shadow").write_text("old")
    link = sticky / "link"
    link.symlink_to(tmp_path / ("secret/shadow" if last else "secret"))
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ForeignLinkError, match=f"the link {link} belongs to user {NOBODY}"):
        write(link if last else link / "shadow")
    assert (tmp_path / "secret/shadow").read_text() == "old"
    os.chown(link, 0, 0, follow_symlinks=False)
    write(link if last else link / "shadow")
    assert (tmp_path / "secret/shadow").read_text() == "new"


@needs_root
def test_a_link_of_the_folders_owner_is_followed(tmp_path: Path, sticky: Path) -> None:
    os.chown(sticky, NOBODY, NOBODY)
    (sticky / "link").symlink_to(tmp_path / "target")
    os.chown(sticky / "link", NOBODY, NOBODY, follow_symlinks=False)
    write(sticky / "link")
    assert (tmp_path / "target").read_text() == "new"


@needs_root
@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_a_foreign_file_in_a_sticky_folder_is_not_written(sticky: Path, kind: str) -> None:
    path = sticky / "out"
    os.mkfifo(path) if kind == "fifo" else path.write_text("old")
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match=f"it belongs to user {NOBODY}"):
        write(path)
