"""Brings the tables of an older version up to date, in a process of its own: Alembic's memory is not kept for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from store.address import display
from store.errors import StoreError
from store.schema import REVISION

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import URL

_MIGRATIONS = Path(__file__).parent / "migrations"


def refuse_newer(url: URL, found: str) -> None:
    """Raise StoreError if a database is at a migration that this version does not know."""
    if not any((_MIGRATIONS / "versions").glob(f"{found}_*.py")):
        cause = f"its schema {found} is of a newer Inferometer than this one (which knows {REVISION})"
        raise StoreError(display(url), cause, "Upgrade inferometer, or name another database with --database")


def upgrade_in_child(url: URL, busy_seconds: float) -> None:
    """Run the missing migrations and return when they are done. Raises StoreError; the database is then as it was."""
    packages = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    asked = json.dumps([url.render_as_string(hide_password=False), busy_seconds])  # not where `ps` shows a password
    done = subprocess.run(
        [sys.executable, "-m", "store.upgrade"],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": packages},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        cause, remedy = json.loads(done.stdout) if done.stdout else (f"its tables cannot be upgraded ({last})", "")
        raise StoreError(display(url), cause, remedy or "What is stored is as it was; report this with the cause")


def upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the caller's transaction."""
    from alembic import command  # noqa: PLC0415  slow to import
    from alembic.config import Config  # noqa: PLC0415  slow to import

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def main() -> int:
    """Upgrade the database that standard input names; say on standard output why not, if it cannot be done."""
    from store.database import connected, writing  # noqa: PLC0415  that module uses this one
    from store.explain import explained  # noqa: PLC0415  only here
    from store.locks import migration_lock  # noqa: PLC0415  only here

    address, busy_seconds = json.load(sys.stdin)
    engine = connected(make_url(address), busy_seconds)
    try:
        with explained(engine), writing(engine).begin() as connection, migration_lock(connection):
            upgrade(connection)
    except StoreError as error:
        json.dump([error.cause, error.remedy], sys.stdout)
        return 1
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
