"""Checksums of rows, the quarantine of damaged ones, and tags of profiles."""

import sqlalchemy as sa
from alembic import op

from store.checksums import checksum

revision = "0003"
down_revision = "0002"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = ("hosts", "devices", "channels", "recordings", "layouts", "totals", "runs", "windows", "profiles")
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


def seal(connection: sa.Connection, table: sa.Table) -> None:
    """Give every row of a table its checksum."""
    for row in connection.execute(sa.select(table)).mappings().all():
        mine = sa.and_(*(column == row[column.name] for column in table.primary_key))
        connection.execute(sa.update(table).where(mine).values(checksum=checksum(table, row)))
