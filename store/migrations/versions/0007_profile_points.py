"""The points of profiles as rows of numbers. Migration 0008 replaces this table and fills it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXTS = (
    *("host_id", "host_name", "hardware", "site", "rack", "owner", "date", "workload", "model", "precision", "engine"),
    *("engine_version", "inferometer_version", "schema_version", "point", "parameters"),
    *("energy_source", "boundary", "currency", "cost_basis"),
)
FIGURES = (
    "joules_per_output_token",
    "joules_per_inference",
    "output_tokens_per_second",
    "inferences_per_second",
    "watts",
    "cost_per_million_output_tokens",
    "cost_per_million_inferences",
)


def upgrade() -> None:
    op.create_table(
        "profile_points",
        sa.Column("id", row_id, nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_ns", "repeats", "work", "setup")),
        sa.Column("valid", sa.Boolean(), nullable=False),
        *(
            sa.Column(f"{name}{end}", sa.Double(), nullable=True)
            for name in FIGURES
            for end in ("", "_lower", "_upper")
        ),
        sa.Column("checksum", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("profile_points_profile", "profile_points", ["profile_id"])
    op.create_index("profile_points_setup_host", "profile_points", ["setup", "host_id", "created_ns"])
