"""Checksums of rows, the quarantine of damaged ones, and tags of profiles."""

import sqlalchemy as sa
from alembic import op

from store.codec.checksums import checksum, types_match

revision = "0003"
down_revision = "0002"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = ("hosts", "devices", "channels", "recordings", "layouts", "totals", "runs", "windows", "profiles")
UPDATED = ("hosts", "devices", "channels", "layouts", "runs")
"""The tables whose rows version 0002 updates in place."""
REFUSAL = "the store was upgraded: start this program again in its new version"
LARGE = {"ticks": "id", "chunks": "id", "rejections": "id", "rollups": "minute"}


def upgrade() -> None:
    for name in (*SMALL, *LARGE):
        op.add_column(name, sa.Column("checksum", sa.BigInteger(), nullable=True))
    op.add_column("profiles", sa.Column("tag", sa.Text(), nullable=True))
    op.create_index("profiles_tag", "profiles", ["tag"], unique=True)
    unchecked = op.create_table(
        "unchecked",
        sa.Column("table_name", sa.String(length=16), nullable=False),
        sa.Column("done_key", sa.BigInteger(), nullable=False),
        sa.Column("last_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_name"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", row_id, nullable=False),
        sa.Column("table_name", sa.String(length=16), nullable=False),
        sa.Column("found_ns", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    connection = op.get_bind()
    for name in SMALL:
        seal(connection, sa.Table(name, sa.MetaData(), autoload_with=connection))
    for name, key in LARGE.items():
        last = connection.execute(sa.select(sa.func.max(sa.column(key))).select_from(sa.table(name))).scalar()
        if last is not None:
            row = {"table_name": name, "done_key": -(1 << 63), "last_key": last}
            connection.execute(sa.insert(unchecked).values(**row))
    for name in (*SMALL, *LARGE):
        refuse_old_writers(connection, name)


def seal(connection: sa.Connection, table: sa.Table) -> None:
    """Add a checksum to every row of a table, one row in memory at a time; a damaged one gets none."""
    for key in connection.execute(sa.select(*table.primary_key)).all():
        mine = sa.and_(*(column == value for column, value in zip(table.primary_key, key, strict=True)))
        row = connection.execute(sa.select(table).where(mine)).mappings().first()
        if row is not None and types_match(table, row):
            connection.execute(sa.update(table).where(mine).values(checksum=checksum(table, row)))


def refuse_old_writers(connection: sa.Connection, name: str) -> None:
    """Refuse the rows of a running program of version 0002: they have no checksum, or a wrong one."""
    if connection.dialect.name == "sqlite":
        differ, then = "IS NOT", f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    elif connection.dialect.name == "postgresql":
        differ, then = "IS DISTINCT FROM", "EXECUTE FUNCTION refuse_old_writer()"
        body = f"LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION '{REFUSAL}'; END$$"
        op.execute(f"CREATE OR REPLACE FUNCTION refuse_old_writer() RETURNS trigger {body}")
    else:
        return
    before = f"ON {name} FOR EACH ROW WHEN"
    op.execute(f"CREATE TRIGGER {name}_insert BEFORE INSERT {before} (NEW.checksum IS NULL) {then}")
    if name in UPDATED:
        columns = [column["name"] for column in sa.inspect(connection).get_columns(name)]
        changed = " OR ".join(f"NEW.{each} {differ} OLD.{each}" for each in columns)
        stale = f"NOT (NEW.checksum {differ} OLD.checksum) AND ({changed})"
        op.execute(f"CREATE TRIGGER {name}_update BEFORE UPDATE {before} ({stale}) {then}")
