"""Checksums of rows: a column that was added later counts only if it has a value."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, MetaData, Table, Text

from store.codec.checksums import NAME, ChecksumAppender, checksum, stored_checksum

OLD = Table("loads", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), Column(NAME, Integer))
NEW = Table(
    "loads",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column(NAME, Integer),
    Column("first", Double, info={"later": True}),
    Column("added", Double, info={"later": True}),
)
ROW = {"id": 1, "name": "a", "first": None, "added": None}


def test_an_older_row_has_the_same_checksum_after_a_column_was_added():
    assert checksum(NEW, ROW) == checksum(OLD, ROW)


def test_a_value_of_an_added_column_changes_the_checksum_and_so_does_its_place():
    sums = {checksum(NEW, {**ROW, **values}) for values in ({}, {"first": 1.0}, {"added": 1.0}, {"first": 2.0})}
    assert len(sums) == 4


def test_every_way_to_compute_a_checksum_agrees_on_added_columns():
    for row in (ROW, {**ROW, "added": 1.0}, {**ROW, "first": 3, "added": -0.0}):
        stored = {"id": 1, "name": "a", NAME: 0, "first": row["first"], "added": row["added"]}
        typed = {**stored, "first": None if row["first"] is None else float(row["first"])}
        assert stored_checksum(NEW, typed) == checksum(NEW, row)
        appender = ChecksumAppender(NEW, ("name", "first", "added"))
        assert appender.of((row["name"], row["first"], row["added"])) == checksum(NEW, row)
