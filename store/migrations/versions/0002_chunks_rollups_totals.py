"""Calibration of sensors; chunks and roll-ups of older ticks; totals that survive a boot."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in ("wraps_at", "observed_refresh_seconds", "read_seconds"):
        op.add_column("channels", sa.Column(column, sa.Double(), server_default=sa.text("0"), nullable=False))
    op.add_column("channels", sa.Column("aliased", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("layouts", sa.Column("seam", sa.LargeBinary(), nullable=True))
    op.create_table(
        "chunks",
        sa.Column("id", row_id, nullable=False),
        sa.Column("layout_id", row_id, nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["layout_id"], ["layouts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("chunks_layout_start_end", "chunks", ["layout_id", "start_ns", "end_ns"], unique=False)
    op.create_table(
        "rollups",
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("channel_id", row_id, nullable=False),
        sa.Column("recording_id", row_id, nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("lowest", sa.Double(), nullable=False),
        sa.Column("highest", sa.Double(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("energy_joules", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"]),
        sa.ForeignKeyConstraint(["recording_id"], ["recordings.id"]),
        sa.PrimaryKeyConstraint("minute", "channel_id", "recording_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "totals",
        sa.Column("host_id", sa.String(length=64), nullable=False),
        sa.Column("probe", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("raw", sa.Double(), nullable=True),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"]),
        sa.PrimaryKeyConstraint("host_id", "probe", "device", "domain", "metric", "source"),
        sqlite_with_rowid=False,
    )
    view = Path(__file__).parents[1] / f"sql/0002_{op.get_bind().dialect.name}.sql"
    op.get_bind().exec_driver_sql(view.read_text(encoding="utf-8"))
