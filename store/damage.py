"""Finds damaged rows while reading: rows with a wrong checksum or content are reported and left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from store import schema
from store.codec.checksums import NAME, stored_checksum, tick_checksum
from store.errors import StoreError
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, RowMapping, Table

    Report = Callable[["Damage"], object]
    Values = Mapping[str, Any] | RowMapping

KEYS = {"ticks": "id", "chunks": "id", "rejections": "id", "rollups": "minute"}
"""The tables that may have rows of an older version without a checksum, and the key column for `unchecked`."""
WRONG_CHECKSUM = "its checksum is wrong"
NO_CHECKSUM = "its checksum is missing"
_WORDS = {
    "hosts": "Host",
    "devices": "Device",
    "channels": "Channel",
    "recordings": "Recording",
    "layouts": "Layout",
    "ticks": "Row",
    "chunks": "Chunk",
    "rollups": "Roll-up",
    "totals": "Total",
    "serving_hours": "Hour of traffic",
    "rejections": "Refused reading",
    "runs": "Run",
    "windows": "Window",
    "profiles": "Profile",
    "profile_points": "Point",
}


def wrong_length(readings: bytes, length: int) -> str:
    """Return the cause for readings that are not `length` bytes long."""
    return f"it has {len(readings)} bytes of readings, not {length}"


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged row: its table, its primary key, and the cause."""

    table: str
    key: tuple[Any, ...]
    cause: str

    def __str__(self) -> str:
        """Return a sentence for people."""
        return f"{_WORDS[self.table]} {', '.join(map(str, self.key))}: {self.cause}"


class DamagedError(StoreError):
    """A requested row is damaged, and the caller did not ask for reports of damage."""

    def __init__(self, database: str, damage: Damage) -> None:
        super().__init__(database, f"it is damaged ({damage})", "List all damage with `inferometer db check`")
        self.damage = damage


class RowVerifier:
    """Separates intact rows from damaged ones in one transaction; `report` receives each damaged one, None raises."""

    def __init__(self, connection: Connection, report: Report | None) -> None:
        self._database = display(connection.engine.url)
        self._report = report
        table = schema.unchecked.c
        rows = connection.execute(select(table.table_name, table.done_key, table.last_key))
        self._unchecked = {name: (done, last) for name, done, last in rows}

    def report_damage(self, table: Table, key: tuple[Any, ...], cause: str) -> None:
        """Report one damaged row. Raises DamagedError if there is no `report`."""
        damage = Damage(table.name, key, cause)
        if self._report is None:
            raise DamagedError(self._database, damage)
        self._report(damage)

    def fault(self, table: Table, row: Values) -> str:
        """Return the cause if a row is damaged, else nothing."""
        key = KEYS.get(table.name)
        return self._fault(table.name, row[key] if key else None, row[NAME], lambda: stored_checksum(table, row))

    def is_intact(self, table: Table, row: Values) -> bool:
        """Return whether a row is unchanged since it was written; report it otherwise."""
        cause = self.fault(table, row)
        if cause:
            self.report_damage(table, tuple(row[column.name] for column in table.primary_key), cause)
        return not cause

    def tick_damage_cause(self, layout: int, tick: tuple[int, int, int, bytes, int | None]) -> str:
        """Return the cause if a tick, given as id, start, end, readings and checksum, is damaged, else nothing."""
        number, start_ns, end_ns, readings, stored = tick
        try:
            right = tick_checksum(layout, start_ns, end_ns, readings)
        except Exception:  # noqa: BLE001  a damaged row holds values of any type
            return WRONG_CHECKSUM
        return "" if stored == right else self._fault("ticks", number, stored, lambda: right)

    def _fault(self, name: str, key: Any, stored: Any, right: Callable[[], int]) -> str:
        if stored is None:
            done, last = self._unchecked.get(name, (0, 0))
            return "" if isinstance(key, int) and done < key <= last else NO_CHECKSUM
        try:
            return "" if stored == right() else WRONG_CHECKSUM
        except Exception:  # noqa: BLE001  a damaged row holds values of any type
            return WRONG_CHECKSUM
