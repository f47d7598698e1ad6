"""An exporter with a web configuration, and clients for it."""

from __future__ import annotations

import base64
import ssl
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from typing import TYPE_CHECKING

import bcrypt

from agent.api.connection import Limits
from agent.api.endpoint import serve
from certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from pathlib import Path

    from agent.api.metrics import Exporter

PASSWORD = "correct horse"
USER = "prometheus"
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
USERS = f"basic_auth_users:\n  {USER}: {HASH}\n"


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """Return the Authorization header of a user."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def configured(folder: Path, text: str = TLS + USERS) -> Path:
    """Write a certificate of localhost and a web configuration with mode 0600; return its path."""
    Authority.at(folder).issue(folder, "server")
    return rewritten(folder, text)


def rewritten(folder: Path, text: str) -> Path:
    """Write the web configuration with mode 0600."""
    path = folder / "web.yml"
    path.touch(0o600)
    path.write_text(text)
    return path


def trusting(folder: Path) -> ssl.SSLContext:
    """Return the settings of a client that trusts the authority in a folder."""
    return ssl.create_default_context(cafile=str(folder / "ca.crt"))


def ask_tls(
    address: str, context: ssl.SSLContext, path: str = "/metrics", **headers: str
) -> tuple[HTTPResponse, bytes]:
    """Return the response to a GET over TLS."""
    with closing(HTTPSConnection(address, timeout=10, context=context)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()


@contextmanager
def secured(exporter: Exporter, path: Path, limits: Limits | None = None) -> Iterator[str]:
    """Serve an exporter with a web configuration; yield its address."""
    with closing(serve(exporter, "127.0.0.1:0", limits or Limits(), web_config=str(path))) as endpoint:
        yield endpoint.address
