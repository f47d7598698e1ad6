"""The logins of small devices over HTTP: Basic (RFC 7617) and Digest with SHA-256 or MD5 (RFC 7616)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIELD = re.compile(r'([a-z]+)=(?:"([^"\\]{0,256})"|([^\s,"]{1,256}))', re.IGNORECASE)
_ALGORITHMS: Mapping[str, Callable[..., Any]] = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


class LoginError(Exception):
    """The device asks for a login that is not supported."""


def basic(user: str, password: str) -> str:
    """Return the value of the header Authorization."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class Digest:
    """Answers the challenges of one device for one user; a challenge serves several requests."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._challenge: Mapping[str, str] = {}
        self._count = 0

    def accept(self, challenge: str) -> None:
        """Take the header WWW-Authenticate of a refused request. Raises LoginError if it asks for something else."""
        scheme, _, rest = challenge.partition(" ")
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        algorithm = fields.setdefault("algorithm", "MD5").upper()
        qops = {qop.strip() for qop in fields.get("qop", "").split(",")}
        if scheme.lower() != "digest" or algorithm not in _ALGORITHMS or "auth" not in qops or "nonce" not in fields:
            raise LoginError(f"it asks for the login {challenge[:80]!r}")
        self._challenge, self._count = {**fields, "algorithm": algorithm}, 0

    def header(self, method: str, uri: str) -> str | None:
        """Return the value of the header Authorization for a request, None before the first challenge."""
        if not self._challenge:
            return None
        self._count += 1
        realm, nonce = self._challenge.get("realm", ""), self._challenge["nonce"]
        algorithm, own, count = self._challenge["algorithm"], secrets.token_hex(16), f"{self._count:08x}"

        def digest(content: str) -> str:
            return str(_ALGORITHMS[algorithm](content.encode(), usedforsecurity=False).hexdigest())

        user = digest(f"{self._user}:{realm}:{self._password}")
        response = digest(f"{user}:{nonce}:{count}:{own}:auth:{digest(f'{method}:{uri}')}")
        fields = [
            f'username="{self._user}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm}',
            f'response="{response}", qop=auth, nc={count}, cnonce="{own}"',
        ]
        if "opaque" in self._challenge:
            fields.append(f'opaque="{self._challenge["opaque"]}"')
        return f"Digest {', '.join(fields)}"
