"""The traffic of inference servers by hour."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    sums = ("seconds", "requests", "errors", "input_tokens", "output_tokens", "duration")
    energies = (f"{part}_{bound}" for part in ("idle", "attributed") for bound in ("joules", "lower", "upper"))
    op.create_table(
        "serving_hours",
        sa.Column("host_id", sa.String(length=64), nullable=False),
        sa.Column("server", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("bins", sa.Integer(), nullable=False),
        sa.Column("censored_bins", sa.Integer(), nullable=False),
        sa.Column("requests_histogram", sa.Text(), nullable=False),
        sa.Column("tokens_histogram", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in (*sums, *energies)),
        sa.Column("checksum", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"]),
        sa.PrimaryKeyConstraint("host_id", "server", "model", "hour"),
        sqlite_with_rowid=False,
    )
