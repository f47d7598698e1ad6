"""Admits users by HTTP basic authentication (RFC 7617); the passwords are hashed with bcrypt."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import secrets
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ADMITTED, _REFUSED, _CLIENTS = 64, 256, 1024
"""The most pairs of user and password, admitted and refused, and the most clients, that are remembered."""
_CPU_SHARE, _CPU_SECONDS = 0.005, 1.0
"""The share of a processor that checks may use, and the CPU time that they may use at once.

It is time of the host that is measured, so strangers cannot cause more.
"""
_COST, _COST_SECONDS = 10, 0.06
"""A check of this cost takes this CPU time; each further step doubles it."""
_LONGEST_PAUSE_SECONDS, _MOST_DOUBLINGS = 300.0, 9
_LONGEST_PASSWORD = 72
"""bcrypt ignores the rest, or refuses it."""


class Decision(Enum):
    """The answer to credentials: `BUSY` if they cannot be checked now."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    BUSY = "busy"


@dataclass(slots=True)
class _Client:
    """The wrong passwords of a client, and the time before which it has no further check."""

    failures: int = 0
    until: float = 0.0


class Users:
    """The users, with the bcrypt hashes of their passwords; any thread may ask.

    A pair that was checked is remembered by a keyed hash until the process ends or the users change, so that a scrape
    costs no check. One check runs at a time, and no request waits for it. A client waits twice as long after each wrong
    password, so that it does not use up the checks of others. `clock` returns seconds.
    """

    def __init__(self, hashes: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        import bcrypt  # noqa: PLC0415  an extra, which most hosts do not need

        self.hashes = dict(hashes)
        self._matches = bcrypt.checkpw
        self._hashes = {name.encode(): secret.encode() for name, secret in hashes.items()}
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._admitted: set[bytes] = set()
        self._refused: set[bytes] = set()
        self._clients: dict[str, _Client] = {}
        self._seconds, self._counted = _CPU_SECONDS, clock()
        self._lock = threading.Lock()

    def decide(self, authorization: str, client: str = "") -> Decision:
        """Return the decision about an Authorization header, empty if the request has none, from an address."""
        pair = _credentials(authorization)
        if pair is None:
            return Decision.REFUSED
        seal = hmac.digest(self._key, b"\0".join(pair), "sha256")
        if seal in self._admitted:
            return Decision.ADMITTED
        if seal in self._refused:
            return Decision.REFUSED
        if not self._lock.acquire(blocking=False):
            return Decision.BUSY
        try:
            return self._checked(pair, seal, _network(client))
        finally:
            self._lock.release()

    def _checked(self, pair: tuple[bytes, bytes], seal: bytes, network: str) -> Decision:
        name, password = pair
        own, now = self._clients.get(network, _Client()), self._clock()
        secret = self._hashes.get(name) or self._stand_in(name)
        seconds = _COST_SECONDS * 2.0 ** (int(secret[4:6]) - _COST)
        self._seconds = min(_CPU_SECONDS, self._seconds + (now - self._counted) * _CPU_SHARE)
        self._counted = now
        if now < own.until or self._seconds < seconds:
            return Decision.BUSY
        if self._matches(password, secret) and name in self._hashes:
            self._clients.pop(network, None)
            _remember(self._admitted, seal, _ADMITTED)
            return Decision.ADMITTED
        self._seconds -= seconds
        own.failures = min(own.failures + 1, _MOST_DOUBLINGS)
        own.until = now + min(_LONGEST_PAUSE_SECONDS, 2.0**own.failures)
        self._clients.pop(network, None)
        self._clients[network] = own  # the newest is the last
        if len(self._clients) > _CLIENTS:
            del self._clients[next(iter(self._clients))]
        _remember(self._refused, seal, _REFUSED)
        return Decision.REFUSED

    def _stand_in(self, name: bytes) -> bytes:
        """Return the hash for the check of an unknown name: always the same, so that its cost reveals nothing."""
        number = int.from_bytes(hmac.digest(self._key, name, "sha256")[:8], "big")
        return list(self._hashes.values())[number % len(self._hashes)]


def _remember(seals: set[bytes], seal: bytes, most: int) -> None:
    if len(seals) >= most:
        seals.clear()
    seals.add(seal)


def _network(client: str) -> str:
    """Return the address of a client, in IPv6 the network of 64 bits that one client has."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or address.packed[:8].hex())
    return str(address)


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
