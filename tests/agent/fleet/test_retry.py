"""Calls that a database refuses for a moment are repeated, and others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.fleet.retry import Retry
from store.errors import StoreError, TransientStoreError

if TYPE_CHECKING:
    from fleet_databases import FleetDatabase


class Refusing:
    def __init__(self, times: int, error: Exception) -> None:
        self.calls = 0
        self._times, self._error = times, error

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return self.calls


def test_a_call_is_repeated_until_it_succeeds() -> None:
    waits: list[str] = []
    call = Refusing(2, TransientStoreError("db", "sorry, too many clients already", "Wait"))
    assert Retry(waits.append)(call) == 3
    assert len(waits) == 2
    assert waits[0].startswith("db: sorry, too many clients already: trying again in ")


def test_the_last_error_is_raised_at_the_end_of_the_time() -> None:
    call = Refusing(1000, TransientStoreError("db", "the database system is starting up", "Wait"))
    with pytest.raises(TransientStoreError, match="is starting up"):
        Retry(lambda _: None, 0.5)(call)
    assert call.calls > 1


@pytest.mark.parametrize(
    "error",
    [
        StoreError("db", "permission denied", "Ask"),
        TransientStoreError("db", 'password authentication failed for user "gpu1"', "Check"),
        TransientStoreError("db", 'database "fleet" does not exist', "Check"),
        TransientStoreError("db", 'no pg_hba.conf entry for host "192.0.2.1"', "Check"),
        TransientStoreError("db", "SSL error: certificate verify failed", "Check"),
        TransientStoreError("db", "server does not support SSL, but SSL was required", "Check"),
        TransientStoreError("db", 'private key file "/etc/key" has group or world access', "Check"),
        TransientStoreError("db", 'FATAL: permission denied for database "fleet"', "Check"),
        TransientStoreError("db", 'FATAL: role "gpu1" is not permitted to log in', "Check"),
    ],
)
def test_an_error_that_stays_is_raised_at_once(error: StoreError) -> None:
    call = Refusing(1, error)
    with pytest.raises(StoreError):
        Retry(lambda _: None)(call)
    assert call.calls == 1


@pytest.mark.system
@pytest.mark.parametrize(
    ("role", "cause"),
    [("stranger LOGIN", "permission denied for database"), ("stranger NOLOGIN", "is not permitted to log in")],
)
def test_a_login_that_may_not_connect_has_the_remedy_of_the_owner(
    database: FleetDatabase, role: str, cause: str
) -> None:
    assert database.server.psql(database.name, f"CREATE ROLE {role}").returncode == 0
    try:
        with pytest.raises(StoreError, match=f"{cause}.*`inferometer fleet sql host`.*grants inferometer_readers"):
            database.place("stranger")
    finally:
        database.server.psql(database.name, "DROP ROLE stranger")
    assert database.waits == []


def test_clients_that_were_refused_at_once_return_at_different_times() -> None:
    waits: list[str] = []
    for _ in range(20):
        Retry(waits.append)(Refusing(1, TransientStoreError("db", "restarting", "Wait")))
    assert len(set(waits)) > 1
