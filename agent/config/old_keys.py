"""Moves the values of keys that were renamed to their new keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.config.setting import Table


def move_old_keys(found: dict[str, Any], tables: Sequence[Table], where: str) -> tuple[str, ...]:
    """Move the value of each old key in `found`, and return a warning for each.

    Raises ConfigError if both the old key and the new one are set.
    """
    warnings = []
    renamed = [(old, table, setting) for table in tables for setting in table.settings for old in setting.old_keys]
    for old, table, setting in renamed:
        *outer, last = old.split(".")
        section = _section(found, outer)
        target = _section(found, table.name.split(".") if table.name else (), create=True)
        if section is None or target is None or last not in section:
            continue  # the reader reports a name that is not a table
        path = table.path(setting)
        if setting.file_key in target:
            raise ConfigError(f"{where}: {old} is the old name of {path}; remove one of the two")
        target[setting.file_key] = section.pop(last)
        if outer and not section:
            (_section(found, outer[:-1]) or {}).pop(outer[-1])
        warnings.append(f"{where}: {old} is now called {path}; the next minor version refuses the old name")
    return tuple(warnings)


def _section(found: dict[str, Any], names: Sequence[str], *, create: bool = False) -> dict[str, Any] | None:
    """Return the table at the end of `names`; None if there is none, or if something on the way is not a table."""
    section: Any = found
    for name in names:
        if not isinstance(section, dict):
            return None
        section = section.setdefault(name, {}) if create else section.get(name)
    return section if isinstance(section, dict) else None
