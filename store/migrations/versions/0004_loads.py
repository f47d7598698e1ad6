"""Windows of a load: the requests by the part of them that lies within the window, and the report of the client."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("windows", sa.Column("requests_in_window", sa.Double(), nullable=True))
    op.add_column("windows", sa.Column("load", sa.Text(), nullable=True))
