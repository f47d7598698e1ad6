"""A session of a BMC: opened by a login, renewed if it expired, and always deleted, as a BMC has room for 8 to 16."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from probes import at_exit
from probes.errors import ReadError
from probes.redfish.documents import Resource, entries, link, part, resource_in, text

if TYPE_CHECKING:
    from probes.meters.http import Answer, MeterHttp

ROOT = "/redfish/v1/"
_SESSIONS = f"{ROOT}SessionService/Sessions"
LOGOUT_SECONDS = 1.5
_LONGEST_RETRY_SECONDS = 600.0
_SHORTEST_SECONDS = 0.05
_HEADERS = {"Accept": "application/json", "OData-Version": "4.0"}


class StatusError(ReadError):
    """The BMC answered with another status than success; `retry_seconds` is the time that it asks to wait."""

    def __init__(self, message: str, status: int, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_seconds = retry_seconds


class LoginError(StatusError):
    """The BMC refused the login: by the user and password, or because it has no room for another session."""


class BmcSession:
    """Requests resources of a BMC; without a `user` it requests them without a login.

    One thread requests; `close` may come from another one, also during a login.
    """

    def __init__(self, http: MeterHttp, user: str, password: str) -> None:
        self._http = http
        self._user, self._password = user, password
        self._token = self._place = ""
        self._root: Resource = {}
        self._closed = False
        self._login_lock = threading.Lock()
        self._registration = at_exit.register(self.close)

    def root(self, seconds: float) -> Resource:
        """Return the root of the service, which needs no login and is requested once. Raises ReadError."""
        if not self._root:
            answer = self._get(ROOT, time.monotonic() + seconds)
            if answer.status != HTTPStatus.OK:
                _refuse(self._http.place, ROOT, answer)
            self._root = resource_in(answer.body)
        return self._root

    def get(self, path: str, seconds: float) -> tuple[Resource, int, int]:
        """Return a resource, and the times before the request and after the response, on CLOCK_MONOTONIC.

        The login happens at the first request, and once more if the BMC ended the session; `seconds` is the time for
        all of it. Raises ReadError.
        """
        ends = time.monotonic() + seconds
        if self._user and not self._token:
            self._login(ends)
        answer = self._get(path, ends)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._user:
            self._logout()
            self._login(ends)
            answer = self._get(path, ends)
        if answer.status != HTTPStatus.OK:
            _refuse(self._http.place, path, answer)
        return resource_in(answer.body), answer.sent_ns, answer.received_ns

    def close(self) -> None:
        """End the session, and the connection. A BMC that does not answer at once ends the session by itself later."""
        self._closed = True
        if self._login_lock.acquire(timeout=LOGOUT_SECONDS):  # a login in progress ends its own session
            self._login_lock.release()
        self._logout()
        at_exit.forget(self._registration)
        self._http.close()

    def _get(self, path: str, ends: float) -> Answer:
        headers = {**_HEADERS, "X-Auth-Token": self._token} if self._token else _HEADERS
        return self._http.request("GET", path, seconds=_left(ends), headers=headers)

    def _login(self, ends: float) -> None:
        body = json.dumps({"UserName": self._user, "Password": self._password}).encode()
        headers = {**_HEADERS, "Content-Type": "application/json"}
        path = link(part(self.root(_left(ends)), "Links", "Sessions")) or _SESSIONS
        with self._login_lock:
            if not self._closed:
                answer = self._http.request(
                    "POST", path, seconds=_left(ends), headers=headers, body=body, late=self._end_late
                )
                self._token, self._place = _session_in(answer, f"{self._http.place}{path}")
            if not self._closed:
                return
            self._logout()
        raise ReadError(f"{self._http.place}: the session was closed")

    def _logout(self) -> None:
        token, self._token = self._token, ""
        if token and self._place:
            self._delete(token, self._place)

    def _end_late(self, answer: Answer) -> None:
        """End the session of a login whose response came after its deadline."""
        with suppress(ReadError):
            self._delete(*_session_in(answer, self._http.place))

    def _delete(self, token: str, place: str) -> None:
        with suppress(ReadError):
            headers = {**_HEADERS, "X-Auth-Token": token}
            self._http.request("DELETE", place, seconds=LOGOUT_SECONDS, headers=headers)


def _left(ends: float) -> float:
    return max(_SHORTEST_SECONDS, ends - time.monotonic())


def _session_in(answer: Answer, place: str) -> tuple[str, str]:
    """Return the token and the path of a new session that was requested at `place`. Raises LoginError."""
    token = answer.headers.get("x-auth-token", "")
    if answer.status not in range(200, 300) or not token:
        _refuse(place, "", answer, login=True)
    path = link(urlsplit(answer.headers.get("location", "")).path)
    with suppress(ReadError):
        path = path or link(resource_in(answer.body))
    return token, path


def _refuse(place: str, path: str, answer: Answer, *, login: bool = False) -> NoReturn:
    """Raise the error of a response, with the message of the BMC."""
    said = ""
    with suppress(ReadError):
        error = part(resource_in(answer.body), "error")
        messages = [text(each.get("Message")) for each in entries(part(error, "@Message.ExtendedInfo"))]
        said = next(filter(None, messages), text(part(error, "message")))
    try:
        retry_seconds = min(float(answer.headers.get("retry-after", "")), _LONGEST_RETRY_SECONDS)
    except ValueError:
        retry_seconds = 0.0
    kind = LoginError if login else StatusError
    message = f"{place}{path} answers {answer.status}{said and f': {said}'}"
    raise kind(message, answer.status, max(0.0, retry_seconds))
