"""Admits users by HTTP basic authentication (RFC 7617); the passwords are hashed with bcrypt."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ADMITTED = 64
"""The most admitted pairs of user and password that are remembered."""
_CHECKS_AT_ONCE, _CHECKS_PER_SECOND = 10.0, 1.0
"""Checks take CPU time of the host that is measured, so strangers cannot cause more."""
_LONGEST_PASSWORD = 72
"""bcrypt ignores the rest, or refuses it."""


class Decision(Enum):
    """The answer to credentials: `BUSY` if too many were checked lately."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    BUSY = "busy"


class Users:
    """The users, with the bcrypt hashes of their passwords; any thread may ask.

    An admitted pair is remembered by a keyed hash until the process ends or the users change, so that a scrape costs no
    check. `clock` returns seconds.
    """

    def __init__(self, hashes: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        import bcrypt  # noqa: PLC0415  an extra, which most hosts do not need

        self._matches = bcrypt.checkpw
        self._hashes = {name.encode(): secret.encode() for name, secret in hashes.items()}
        self._no_user = next(iter(self._hashes.values()))
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._admitted: set[bytes] = set()
        self._checks, self._counted = _CHECKS_AT_ONCE, clock()
        self._lock = threading.Lock()

    def decide(self, authorization: str) -> Decision:
        """Return the decision about an Authorization header; empty if the request has none."""
        pair = _credentials(authorization)
        if pair is None:
            return Decision.REFUSED
        seal = hmac.digest(self._key, b"\0".join(pair), "sha256")
        if seal in self._admitted:
            return Decision.ADMITTED
        with self._lock:
            if not self._may_check():
                return Decision.BUSY
            name, password = pair
            matches = self._matches(password, self._hashes.get(name, self._no_user))  # as long for unknown users
            if not matches or name not in self._hashes:
                return Decision.REFUSED
            self._checks += 1.0
            if len(self._admitted) >= _ADMITTED:
                self._admitted = set()
            self._admitted.add(seal)
        return Decision.ADMITTED

    def _may_check(self) -> bool:
        now = self._clock()
        self._checks = min(_CHECKS_AT_ONCE, self._checks + (now - self._counted) * _CHECKS_PER_SECOND)
        self._counted = now
        if self._checks < 1.0:
            return False
        self._checks -= 1.0
        return True


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """Return the user and the password of a header, None if it has none that bcrypt can check."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip().encode(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    if not colon or b"\0" in password or len(password) > _LONGEST_PASSWORD:
        return None
    return name, password
