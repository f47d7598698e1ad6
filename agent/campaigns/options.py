"""Compiles the options of a workload in a campaign file to the words of its command; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from agent.campaigns.fields import Fields

_OPTION = re.compile(r"[a-z][a-z0-9_-]*")
_ELSEWHERE = {
    "id": "the head gives each profile its id",
    "bundle": "the launcher names it",
    "json": "the head reads bundles",
    "report": "`inferometer report` makes one of the collected profiles",
    "no_store": "a profile that is not stored cannot be collected again",
    "tariff": "give tariff = FILE for the campaign or a host",
    "require_energy": "give require_energy = true for the campaign",
    "quick": 'give mode = "quick"',
    "standard": 'give mode = "standard"',
    "rigorous": 'give mode = "rigorous"',
    "database": "give database = PATH for a host",
    "config": "give config = PATH for a host",
}
"""The options that a workload cannot have, and the reason or the remedy."""


def workload_words(fields: Fields, name: str, mode: str) -> tuple[str, ...]:
    """Return the words of `inferometer profile` for one workload: its name, its mode and its options.

    Raises CampaignError for an option that it cannot have, or a value that is no text, number, flag or list of these.
    """
    if not _OPTION.fullmatch(name):
        raise fields.error("name", f"{quoted(name)} is not a workload: `inferometer profile --list` lists them")
    words = ["profile", name, f"--{mode}"]
    for key, value in fields.table("options").items():
        if not _OPTION.fullmatch(key):
            raise fields.error("options", f"{quoted(key)} is not the name of an option: write batch for --batch")
        if (plain := key.replace("-", "_")) in _ELSEWHERE:
            raise fields.error("options", f"{key} has no place here: {_ELSEWHERE[plain]}")
        words.append(_word(fields, key, value))
    return tuple(words)


def _word(fields: Fields, key: str, value: Any) -> str:
    option = f"--{key.replace('_', '-')}"
    if isinstance(value, bool):
        return option if value else f"--no-{option.removeprefix('--')}"
    values = value if isinstance(value, list) else [value]
    if not values or not all(_is_plain(each) for each in values):
        raise fields.error("options", f"{key} = {quoted(value)} is not a number, a text of one line, or a list of them")
    return f"{option}={','.join(map(str, values))}"


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int | float) and not isinstance(value, bool)
