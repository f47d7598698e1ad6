"""A connection to a SQLite file without SQLAlchemy, for the rows that are written every second."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sqlalchemy import Engine


class SQLiteConnection:
    """One connection of an engine, opened when first needed and closed when the engine is disposed of.

    A transaction of a few rows costs a third of the CPU time of one through the engine. Only one thread at a time may
    use it. Raises sqlite3.Error.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._using = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        event.listen(engine, "engine_disposed", lambda _: self.close())

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write inside the block: everything, or nothing if it raises."""
        with self._using:
            connection = self._connection = self._connection or self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:  # after Ctrl-C, too, no part of a transaction is written
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        with self._using:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        """Take a connection that `sqlite.set_up` has set up out of the pool permanently."""
        pooled = self._engine.raw_connection()
        connection: sqlite3.Connection = pooled.driver_connection  # type: ignore[assignment]  # the backend is SQLite
        pooled.detach()
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection
