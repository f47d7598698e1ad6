"""The views of the points and the costs of profiles."""

from alembic import op

from store.profile_views import BACKENDS, views_of_profiles

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name in BACKENDS:
        for statement in views_of_profiles(connection.dialect.name).values():
            connection.exec_driver_sql(
                statement if connection.dialect.name == "sqlite" else statement.replace("%", "%%")
            )
