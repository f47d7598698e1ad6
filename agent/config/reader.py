"""Reads the values of settings from the tables of a TOML file."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from agent.config.errors import ConfigError
from agent.config.old_keys import move_old_keys
from agent.runtime.text_input import masked, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config.setting import Setting, Table


def known_keys(tables: Sequence[Table]) -> dict[str, tuple[str, ...]]:
    """Return the keys that each table may hold, tables inside it included, by its name with a dot behind it."""
    keys: dict[str, tuple[str, ...]] = {"": ()}
    for table in tables:
        prefix = f"{table.name}." if table.name else ""
        keys[prefix] = (*(setting.file_key for setting in table.settings), *keys.get(prefix, ()))
        names = table.name.split(".") if table.name else []
        for depth, name in enumerate(names):
            outer = "".join(f"{each}." for each in names[:depth])
            keys[outer] = tuple(dict.fromkeys((*keys.get(outer, ()), name)))
    return keys


def convert(setting: Setting, value: object, label: str, *, parse: bool = False) -> Any:
    """Return a value as the configuration stores it, after parsing it if it is a text of an option or a variable.

    Raises ConfigError, which begins with `label`: `exporter.listen = ` or `--listen: `.
    """
    try:
        return setting.type.convert(setting.type.parse(value) if parse and isinstance(value, str) else value)
    except ValueError:
        wanted = (parse and setting.type.wanted_text) or setting.type.wanted
        shown = quoted(masked(value) if isinstance(value, str) else value)
        raise ConfigError(f"{label}{shown} is not {wanted}") from None


class Reader:
    """Reads files that may hold `tables`; `where` names the file in errors.

    `found` are the names of the settings that the file has.
    """

    def __init__(self, tables: Sequence[Table], where: str) -> None:
        self.found: set[str] = set()
        self._tables, self._where = tables, where
        self._keys = known_keys(tables)

    def read(self, found: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the values by the names of their settings, and warnings. Raises ConfigError.

        A repeated table is a tuple of such values under the table's name, and one with any keys a dictionary. Old keys
        are moved within `found`.
        """
        warnings = move_old_keys(found, self._tables, self._where)
        self._check_keys(found, "")
        values: dict[str, Any] = {}
        for table in self._tables:
            if table.repeated:
                records = enumerate(self._records(found, table), 1)
                values[table.name] = tuple(self._values(each, table, f"{table.name}[{at}]") for at, each in records)
            elif table.any_key:
                values[table.name] = self._chosen(found, table)
            else:
                values |= self._values(self._table(found, table.name), table, table.name)
        return values, warnings

    def _values(self, found: Mapping[str, Any], table: Table, place: str) -> dict[str, Any]:
        self._check_keys(found, f"{table.name}." if table.name else "")
        return {setting.name: self._value(found, setting, place) for setting in table.settings}

    def _chosen(self, found: Mapping[str, Any], table: Table) -> dict[str, Any]:
        """Return the values of a table by the keys that the user chose."""
        outer = table.name.rpartition(".")[0]
        self._check_keys(self._table(found, outer), f"{outer}." if outer else "")
        own = self._table(found, table.name)
        kind = table.settings[0]
        return {key: convert(kind, value, f"{self._where}: {table.name}.{key} = ") for key, value in own.items()}

    def _value(self, found: Mapping[str, Any], setting: Setting, place: str) -> Any:
        if setting.file_key not in found:
            return setting.default
        path = f"{place}.{setting.file_key}" if place else setting.file_key
        value = convert(setting, found[setting.file_key], f"{self._where}: {path} = ")
        if value == "":
            return setting.default
        self.found.add(setting.name)
        return value

    def _table(self, found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return a table by its name, an empty one if the file has none."""
        section: Mapping[str, Any] = found
        for part in name.split(".") if name else ():
            inner = section.get(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{self._where}: {name} = {quoted(inner)} is not a table")
            section = inner
        return section

    def _records(self, found: Mapping[str, Any], table: Table) -> list[dict[str, Any]]:
        outer, _, last = table.name.rpartition(".")
        records = self._table(found, outer).get(last, [])
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ConfigError(
                f"{self._where}: {table.name} = {quoted(records)} is not a list of tables, [[{table.name}]]"
            )
        return records

    def _check_keys(self, found: Mapping[str, Any], prefix: str) -> None:
        for key in found:
            if key not in self._keys[prefix]:
                raise ConfigError(f"{self._where}: unknown key {quoted(prefix + key)}; {self._hint(prefix, key)}")

    def _hint(self, prefix: str, key: str) -> str:
        """Name the most similar key of this table, else of any other table."""
        known = self._keys[prefix]
        if near := difflib.get_close_matches(key, known, 1):
            return f"did you mean {prefix + near[0]!r}?"
        everywhere = {name: prefix + name for prefix, names in self._keys.items() for name in names}
        if near := difflib.get_close_matches(key, everywhere, 1):
            return f"did you mean {everywhere[near[0]]!r}?"
        return f"known here: {', '.join(known)}"
