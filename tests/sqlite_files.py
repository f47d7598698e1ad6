"""Reads and changes the file of a store directly, as another program does."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def journal_mode(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]
