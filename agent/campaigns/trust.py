"""Refuses files that other users could write: a campaign file starts programs, so it is code."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.runtime.path_walk import resolved
from agent.runtime.text_input import named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITERS = stat.S_IWGRP | stat.S_IWOTH


def check_trusted(path: Path) -> None:
    """Raise CampaignError unless only this user and root can write a file, and only they can replace it."""
    with _opened(path):
        pass


def read_trusted(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file that only this user and root can write or replace. Raises CampaignError."""
    with _opened(path) as descriptor:
        try:
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read(most_bytes + 1)
        except OSError as error:
            raise CampaignError(f"{named(path)}: it cannot be read ({error.strerror}). Check the path") from error
    if len(content) > most_bytes:
        raise CampaignError(f"{named(path)}: it is larger than {most_bytes >> 20} MiB. Check the path")
    return content


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yield the descriptor of a trusted file: it and each folder on the way were checked as they were opened."""
    try:
        with resolved(path.absolute()) as place:
            if place.descriptor is not None:
                descriptor = os.dup(place.descriptor)
            else:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(place.name, flags, dir_fd=place.directory)
            folders = place.passed
    except OSError as error:
        raise CampaignError(f"{named(path)}: it cannot be read ({error.strerror}). Check the path") from error
    try:
        _check_file(path, os.fstat(descriptor))
        for folder, found in folders:
            _check_folder(path, folder, found)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_file(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise CampaignError(
            f"{named(path)}: it belongs to user {status.st_uid}, who could start programs through it. Copy it to a "
            "file of your own"
        )
    if status.st_mode & _WRITERS:
        raise CampaignError(
            f"{named(path)}: other users can write it, and so start programs through it. Run chmod go-w on it"
        )


def _check_folder(path: Path, folder: Path, status: os.stat_result) -> None:
    """Raise CampaignError if others can replace the entries of a folder, which a sticky one does not allow."""
    writers = 0 if status.st_mode & stat.S_ISVTX else status.st_mode & _WRITERS
    if writers & stat.S_IWGRP and _is_own_group(status.st_gid):
        writers &= ~stat.S_IWGRP
    if status.st_uid not in {0, os.geteuid()} or writers:
        raise CampaignError(
            f"{named(path)}: other users can replace it, as they can write to {named(folder)}. Move it to a folder "
            "that only you can write to, or run chmod go-w on that folder"
        )


def _is_own_group(gid: int) -> bool:
    """Return whether a group has this user or root as its only member, as where users have groups of their own."""
    for uid in {0, os.geteuid()}:
        with suppress(KeyError):
            user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
            if (gid, group.gr_name) == (user.pw_gid, user.pw_name) and set(group.gr_mem) <= {"root", user.pw_name}:
                return True
    return False
