"""Refuses files that other users could write: a campaign file starts programs, so it is code."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.runtime.text_input import named

if TYPE_CHECKING:
    from pathlib import Path

_WRITERS = stat.S_IWGRP | stat.S_IWOTH


def check_trusted(path: Path) -> None:
    """Raise CampaignError unless only this user and root can write a file, and only they can replace it.

    The group of a folder above it may write to the folder, as on hosts whose users have groups of their own.
    """
    trusted = {0, os.geteuid()}
    try:
        status = path.stat()
        folders = {each: each.stat() for place in (path.absolute(), path.resolve()) for each in place.parents}
    except OSError as error:
        raise CampaignError(f"{named(path)}: it cannot be read ({error.strerror}). Check the path") from error
    if status.st_uid not in trusted:
        raise CampaignError(
            f"{named(path)}: it belongs to user {status.st_uid}, who could start programs through it. Copy it to a "
            "file of your own"
        )
    if status.st_mode & _WRITERS:
        raise CampaignError(
            f"{named(path)}: other users can write it, and so start programs through it. Run chmod go-w on it"
        )
    for folder, found in folders.items():
        if found.st_uid not in trusted or (found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX):
            raise CampaignError(
                f"{named(path)}: other users can replace it, as they can write to {named(folder)}. Move it to a "
                "folder that only you can write to"
            )
