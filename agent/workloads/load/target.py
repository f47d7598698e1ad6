"""The address of a server: its URL, checked and taken apart, and its TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A server. `path` is the path of the URL with its query, without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header: `localhost:8000`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The server in a message and in a profile, without the path: `http://localhost:8000`."""
        return f"{self.scheme}://{self.authority}"

    def addresses(self) -> list[str]:
        """Return the IP addresses of the host, the preferred one first. Raises WorkloadError."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise WorkloadError(f"{self.origin}: the host has no address ({error.strerror})", "check --url") from error
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    def tls(self, ca_file: Path | None) -> ssl.SSLContext | None:
        """Return a context that verifies the server, None for plain HTTP. Raises WorkloadError."""
        if self.scheme == "http":
            return None
        try:
            return ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise WorkloadError(
                f"--ca-file {ca_file}: no certificates ({error})", "give a file of PEM certificates"
            ) from error


def parse_url(url: str) -> Target:
    """Return the parts of an http or https URL. Raises ValueError that names the option."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"--url is {url!r}: {error}; give a URL such as http://127.0.0.1:8000") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"--url is {url!r}: give a URL such as http://127.0.0.1:8000")
    if parts.username is not None or parts.password is not None:
        raise ValueError("--url has a user or a password, which every process can read: give the secret in a file")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"--url is {url!r}: write other characters than ASCII in percent-encoding")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/") + query)


def origin(url: str) -> str:
    """Return the server in a URL, without its path and query, which can be private."""
    return parse_url(url).origin


def require_private_channel(target: Target, secret: str) -> None:
    """Raise WorkloadError if a secret would cross a network in plain text; `secret` names it in the message."""
    if target.scheme == "https":
        return
    if not all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in target.addresses()):
        raise WorkloadError(
            f"{secret} is not sent to {target.origin}: everyone on the way could read it",
            "give an https URL, or measure on the host of the server with http://127.0.0.1",
        )
