"""The place of a fleet's profiles, as a user names it: a PostgreSQL database or a directory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.fleet.errors import FleetError
from agent.runtime.addresses import is_loopback
from agent.runtime.text_input import masked, quoted
from agent.workloads.errors import WorkloadError
from agent.workloads.load.secret_file import read_secret

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_URL = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_OTHER_URL = re.compile(r"[\w+.-]+://")
_SECRET = re.compile("pass|secret", re.IGNORECASE)
"""The parameters of libpq that hold a secret, such as `password`, `sslpassword` and `oauth_client_secret`."""
_VERIFIED = "verify-full"
_ELSEWHERE = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
"""The variables by which libpq can connect to another host than the URL names."""
_EXAMPLE = "Name postgresql://USER@HOST/DATABASE or a directory"


@dataclass(frozen=True, slots=True)
class Target:
    """A PostgreSQL database (`url`, with its password), or a directory of bundles (`folder`)."""

    url: URL | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        """Return the name for messages, without a password."""
        if self.url is None:
            return str(self.folder)
        from store.url import display  # noqa: PLC0415  a directory needs no SQLAlchemy

        return display(self.url)

    def engine(self) -> Engine:
        """Open the database, without creating or changing its tables. Raises StoreError, FleetError for a directory."""
        if self.url is None:
            raise FleetError(f"{self}: this is a directory, not a PostgreSQL database. Name its URL")
        from store.database import open_current  # noqa: PLC0415  same

        return open_current(self.url)


def target_of(text: str, password_file: Path | None = None) -> Target:
    """Return the place that a text names: a URL of PostgreSQL, or the path of a directory.

    A server on another host must prove its name by a certificate (`sslmode=verify-full`). Raises FleetError, also for a
    URL with a password, which other users could read in the list of processes, and StoreError for an unusable URL.
    """
    if not _URL.match(text):
        if not text or _OTHER_URL.match(text):
            raise FleetError(f"{quoted(masked(text))} is not a place of profiles. {_EXAMPLE}")
        if password_file is not None:
            raise FleetError(f"{text}: a directory has no password. Leave the password file out")
        return Target(folder=Path(text).expanduser())
    from store.url import parse  # noqa: PLC0415  a directory needs no SQLAlchemy

    url = parse(text)
    if url.password is not None or any(_SECRET.search(name) and name != "passfile" for name in url.query):
        remedy = "Write it into a file of mode 0600 and name that with --password-file, or use ~/.pgpass"
        raise FleetError(f"the URL of a fleet has a password, which other users can read. {remedy}")
    if password_file is not None:
        url = url.set(password=_password(password_file))
    return Target(url=_verified(url))


def _password(file: Path) -> str:
    try:
        password = read_secret(file, f"password file {file}")
    except WorkloadError as error:
        raise FleetError(f"{error.message}: {error.remedy}") from error
    if not password:
        raise FleetError(f"password file {file}: it is empty. Write the password into it")
    return password


def _verified(url: URL) -> URL:
    """Return the URL with the verification of the server's certificate, unless the server is on this host.

    libpq ignores `sslmode` for a unix socket.
    """
    given = _values(url, "sslmode")
    if given == [_VERIFIED] or _is_loopback(url):
        return url
    if given and not _is_socket(url):
        cause = f"{url.host or 'the server'}: sslmode={given[-1]} does not verify the server"
        raise FleetError(f"{cause}. Use sslmode={_VERIFIED}, with sslrootcert=FILE for a private authority")
    return url.update_query_dict({"sslmode": _VERIFIED})


def _is_loopback(url: URL) -> bool:
    hosts = _hosts(url)
    return bool(hosts) and all(_local(host) for host in hosts) and not _redirected(url)


def _is_socket(url: URL) -> bool:
    hosts = _hosts(url)
    return all(host.startswith(("/", "@")) for host in hosts) and not _redirected(url)


def _redirected(url: URL) -> bool:
    """Return whether libpq may take the host from a variable or from a service file."""
    named = any(_values(url, "host")) or bool(url.host)
    variables = _ELSEWHERE[1:] if named else _ELSEWHERE
    return "service" in url.query or any(os.environ.get(name) for name in variables)


def _hosts(url: URL) -> list[str]:
    hosts = [*([url.host] if url.host else []), *_values(url, "host"), *_values(url, "hostaddr")]
    return [part for host in hosts for part in host.split(",")]


def _values(url: URL, name: str) -> list[str]:
    value = url.query.get(name, ())
    return [value] if isinstance(value, str) else list(value)


def _local(host: str) -> bool:
    return is_loopback(host.partition(":")[0] if host.count(":") == 1 else host)
