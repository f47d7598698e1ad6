"""Names of many hosts in one text, and the selection of hosts by name or label; pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from agent.campaigns.errors import CampaignError
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
"""The name of a host: it begins with no `-`, which a program would take for an option."""
MOST_HOSTS = 20_000
_RANGES = re.compile(r"([^\[\]]*)\[([^\[\]]+)\]([^\[\]]*)")
_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


def expanded(text: str) -> tuple[str, ...]:
    """Return the names of a text: `node[01-03,7]` is node01, node02, node03, node7.

    Raises CampaignError for a malformed range, a name that no host has, or more than `MOST_HOSTS` names.
    """
    found = _RANGES.fullmatch(text)
    names = tuple(f"{found[1]}{number}{found[3]}" for number in _numbers(text, found[2])) if found else (text,)
    for name in names:
        if not NAME.fullmatch(name):
            raise CampaignError(
                f"{quoted(name)} is not the name of a host: use letters, digits and . _ - between them, or a range "
                "such as node[01-16]"
            )
    return names


def _numbers(text: str, ranges: str) -> Iterator[str]:
    count = 0
    for part in ranges.split(","):
        found = _PART.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        count += last - first + 1
        if found is None or last < first or count > MOST_HOSTS:
            raise CampaignError(
                f"{quoted(text)}: [{ranges[:80]}] is not a range of at most {MOST_HOSTS:,} numbers such as [01-16,20]"
            )
        yield from (str(number).zfill(len(found[1])) for number in range(first, last + 1))


def selects(selector: str, name: str, labels: Mapping[str, str]) -> bool:
    """Return whether a host is selected: by its name or a pattern of it (`node*`), or by a label (`site=berlin`)."""
    key, equals, value = selector.partition("=")
    if equals:
        return key in labels and fnmatchcase(labels[key], value)
    return fnmatchcase(name, selector)
