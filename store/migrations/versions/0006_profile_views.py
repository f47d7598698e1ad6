"""The views of the points and the costs of profiles."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    connection = op.get_bind()
    views = Path(__file__).parents[1] / f"sql/0006_{connection.dialect.name}.sql"
    for statement in views.read_text(encoding="utf-8").split("\n;\n"):
        connection.exec_driver_sql(statement if connection.dialect.name == "sqlite" else statement.replace("%", "%%"))
