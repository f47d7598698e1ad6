"""Requests to a plug, with its login if it asks for one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.http import Answer, MeterHttp
from probes.meters.http_login import Digest, LoginError, basic
from probes.meters.secrets import secret

if TYPE_CHECKING:
    from probes.settings import MeterConfig

REQUEST_SECONDS = 4.0
"""The time limit of a request; a read makes at most two."""
_USER = "admin"
"""The user of Shelly and Tasmota, which the second generation of Shelly cannot change."""


class Plug:
    """One plug. A login is Basic or Digest, as the plug asks for it."""

    def __init__(self, meter: MeterConfig) -> None:
        self._http = MeterHttp(meter)
        self._prefix = urlsplit(meter.url).path.rstrip("/")
        self._user = meter.user or _USER
        self._password = secret(meter.password_file) if meter.password_file else ""
        self._digest = Digest(self._user, self._password)
        self._uses_basic = False
        self.name = meter.url

    def get(self, path: str) -> Answer:
        """Return the successful answer to a GET. Raises ReadError, and ProbeUnavailableError if the login is wrong."""
        answer = self._request(path)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._password:
            self._take_challenge(answer.headers.get("www-authenticate", ""))
            answer = self._request(path)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            remedy = "set user and password_file of the meter to those of the plug"
            raise ProbeUnavailableError(f"{self.name} refuses this login", remedy)
        if answer.status != HTTPStatus.OK:
            raise ReadError(f"{self.name} answered with status {answer.status}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _request(self, path: str) -> Answer:
        uri = self._prefix + path
        login = basic(self._user, self._password) if self._uses_basic else self._digest.header("GET", uri)
        headers = {"Authorization": login} if login else {}
        return self._http.request("GET", path, seconds=REQUEST_SECONDS, headers=headers)

    def _take_challenge(self, challenge: str) -> None:
        self._uses_basic = challenge.lower().startswith("basic")
        if not self._uses_basic:
            try:
                self._digest.accept(challenge)
            except LoginError as error:
                raise ReadError(f"{self.name}: {error}") from error
