"""Makes the tables of a fleet's database, as their owner, and the row-level security by which hosts use them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.fleet.errors import UnusablePlaceError
from store.database import open_database
from store.error_messages import translate_errors
from store.errors import StoreError

if TYPE_CHECKING:
    from agent.fleet.target import Target

Script = Literal["roles", "host", "security"]
_FOLDER = Path(__file__).parent / "sql"


def script(name: Script) -> str:
    """Return a script for psql: the roles of a database, the login of a host, or the row-level security."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def initialize(target: Target) -> None:
    """Make the tables of a database or upgrade them, then apply the row-level security.

    Without it no login other than the owner reads a new table. Raises StoreError, and UnusablePlaceError for a
    directory, which needs none of that.
    """
    if target.url is None:
        remedy = "Its permissions decide who reads and adds bundles"
        raise UnusablePlaceError(f"{target}: a directory needs no tables. {remedy}")
    engine = open_database(target.url.render_as_string(hide_password=False))
    import psycopg  # noqa: PLC0415  an extra, which the engine has loaded

    try:
        with translate_errors(engine), engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(script("security"))  # directly, since it has several statements
    except psycopg.Error as error:
        cause, _, _ = str(error).partition("\n")
        remedy = "Run the script of `inferometer fleet sql roles` first, and this as the owner of the tables"
        raise StoreError(str(target), f"its row-level security cannot be applied ({cause})", remedy) from error
    finally:
        engine.dispose()
