"""The security of the exporter: TLS and users of a web configuration, which is read again when a file changes."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING

from agent.api import wsgi
from agent.api.basic_auth import Decision, Users
from agent.api.connection import NotReadyError
from agent.api.web_config import WebConfigError, read_web_config
from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from agent.api.connection import Client
    from agent.api.web_config import TlsServer, WebConfig

    Stamp = tuple[int, int, int]
    """The inode of a file, the time of its last change in nanoseconds, and its size."""

_CHECK_SECONDS = 1.0
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_INSTALL = "install the extra `web`: pip install 'inferometer[web]'"
_UNAUTHORIZED = wsgi.failure(
    HTTPStatus.UNAUTHORIZED, ("WWW-Authenticate", 'Basic realm="inferometer", charset="UTF-8"')
)
_BUSY = wsgi.failure(HTTPStatus.TOO_MANY_REQUESTS, ("Retry-After", "1"), reason="no password can be checked now")

log = get_logger("http")


class WebSecurity:
    """TLS and users by the web configuration at `path`.

    New connections use a changed file within a second. A file that becomes invalid is logged, and the last valid one
    stays in use. Raises WebConfigError at first.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._stamps: tuple[Stamp | None, ...] = ()
        self._users: Users | None = None
        self._refusal = ""
        self._load()
        self._checked = clock()

    def wrapped(self, client: socket.socket) -> Client:
        """Return the socket of a new connection with its encryption, if there is any. Raises OSError."""
        self._refresh()
        if self._context is None:
            return client
        return TlsClient(self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False))

    def guarded(self, application: WSGIApplication) -> WSGIApplication:
        """Return the application for admitted users only; itself if there are no users."""
        users = self._users
        if users is None:
            return application

        def guard(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            decision = users.decide(environ.get("HTTP_AUTHORIZATION", ""), environ.get("REMOTE_ADDR", ""))
            admitted = {Decision.ADMITTED: application, Decision.REFUSED: _UNAUTHORIZED, Decision.BUSY: _BUSY}
            return admitted[decision](environ, start_response)

        return guard

    def _refresh(self) -> None:
        """Read the files again if one has changed since the last check."""
        now = self._clock()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        if not self._refusal and _stamps(self._files) == self._stamps:
            return
        try:
            self._load()
            self._refusal = ""
            log.info("web configuration read again", file=self.path)
        except WebConfigError as error:  # read again until it is valid, since it may name other files than before
            if str(error) != self._refusal:
                log.warning("the web configuration is not used, the one before stays", reason=str(error))
            self._refusal = str(error)

    def _load(self) -> None:
        config = read_web_config(Path(self.path))
        stamps = _stamps(config.files)
        users = _users(self.path, config, self._users)
        self._context = _context(config.tls) if config.tls else None
        self._users, self._files, self._stamps = users, config.files, stamps


class TlsClient:
    """The socket of a connection with TLS, whose handshake is part of the first `recv`."""

    def __init__(self, client: ssl.SSLSocket) -> None:
        self._client = client

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._client.fileno()

    def recv(self, size: int) -> bytes:
        """Return the decrypted bytes of at most a record, empty at the end. Raises NotReadyError and OSError."""
        with _translated():
            return self._client.recv(size)

    def send(self, content: memoryview) -> int:
        """Encrypt and send all bytes. Raises NotReadyError, after which the same bytes must be sent, and OSError."""
        with _translated():
            return self._client.send(content)

    def shutdown(self, how: int) -> None:
        """State the end of the response in TLS, then end the sending direction."""
        with suppress(OSError):  # the other end is not awaited
            self._client.unwrap()
        self._client.shutdown(how)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ssl.SSLWantReadError:
        raise NotReadyError(EVENT_READ) from None
    except ssl.SSLWantWriteError:
        raise NotReadyError(EVENT_WRITE) from None


def _users(path: str, config: WebConfig, before: Users | None) -> Users | None:
    """Return the users; those of before if none has changed, as they remember passwords that were checked."""
    if not config.users:
        return None
    if before and before.hashes == config.users:
        return before
    if config.tls is None:
        log.warning("passwords are sent without encryption", file=path, remedy="add tls_server_config")
    try:
        return Users(config.users)
    except ImportError as error:
        raise WebConfigError(f"{path}: basic_auth_users needs bcrypt; {_INSTALL}") from error


def _context(tls: TlsServer) -> ssl.SSLContext:
    """Return the settings of TLS: at least version 1.2, and no session that outlives a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    context.num_tickets = 0
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # no question for that of an encrypted key
        if tls.client_ca_file:
            context.load_verify_locations(tls.client_ca_file)
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        remedy = "They must be PEM, and the key that of the certificate, without a passphrase"
        raise WebConfigError(f"{', '.join(tls.files())}: they cannot be loaded ({cause}). {remedy}") from error
    context.verify_mode = _VERIFY[tls.client_auth_type]
    return context


def _stamps(files: Iterable[str]) -> tuple[Stamp | None, ...]:
    """Return a stamp of each file that differs after a change, None for a file that cannot be reached."""
    return tuple(map(_stamp, files))


def _stamp(file: str) -> Stamp | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
