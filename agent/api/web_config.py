"""Reads a web configuration in the format of Prometheus's exporters: TLS, and users with the hashes of their passwords.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md describes the format.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.runtime.text_input import TextInputError, parser_fault, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ClientAuth = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
TlsVersion = Literal["TLS12", "TLS13"]

_MAX_BYTES = 65_536
_MAX_USERS = 64
_MAX_COST = 13
"""A check of a password with this cost takes about half a second."""
_HASH = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_INSTALL = "install the extra `web`: pip install 'inferometer[web]'"
_OPEN_BITS = 0o137
"""The bits of a mode that let others read a file, or the group write it."""


class WebConfigError(Exception):
    """The web configuration cannot be used; the message names the file, the cause and the remedy."""


class TlsServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate of the server and its demands on clients; a relative path begins at the folder of the file."""

    cert_file: str
    key_file: str
    client_auth_type: ClientAuth = "NoClientCert"
    client_ca_file: str = ""
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"

    def files(self) -> Iterator[str]:
        """Yield the paths of the files that are set."""
        yield from (path for path in (self.cert_file, self.key_file, self.client_ca_file) if path)


class _HttpServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choice between HTTP/2 and HTTP/1.1, which has no effect: the exporter speaks HTTP/1.1."""

    http2: bool = True


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tls_server_config: TlsServer | None = None
    http_server_config: _HttpServer | None = None
    basic_auth_users: dict[str, str] | None = None


class WebConfig(msgspec.Struct, frozen=True):
    """TLS, None without it; the bcrypt hash of each user's password; and every file that was read."""

    tls: TlsServer | None
    users: Mapping[str, str]
    files: tuple[str, ...]


def read_web_config(path: Path) -> WebConfig:
    """Return the web configuration in a file, with absolute paths. Raises WebConfigError."""
    try:
        content = read_bytes(path, _MAX_BYTES, "a web configuration")
    except TextInputError as error:
        raise WebConfigError(f"{path}: {error}") from error
    found = _decoded(path, content)
    users = found.basic_auth_users or {}
    _check_users(path, users)
    if users:
        _require_closed(path)
    tls = _absolute(found.tls_server_config, path) if found.tls_server_config else None
    if tls:
        _check_tls(path, tls)
    return WebConfig(tls, users, (str(path), *(tls.files() if tls else ())))


def _decoded(path: Path, content: bytes) -> _File:
    values = [line for line in content.splitlines() if not line.lstrip().startswith(b"#")]
    if any(b"&" in line or b"*" in line for line in values):
        raise WebConfigError(f"{path}: it has a & or a *, which mark YAML aliases. Write the values out")
    try:
        return msgspec.yaml.decode(content or b"{}", type=_File)
    except ImportError as error:
        raise WebConfigError(f"{path}: this is YAML, and PyYAML is not installed; {_INSTALL}") from error
    except (ValueError, RecursionError) as error:
        cause = " ".join(parser_fault(error).split())[:200]
        remedy = "docs/fleet-metrics.md lists the keys that the exporter supports"
        raise WebConfigError(f"{path}: this is not a web configuration: {cause}. {remedy}") from error


def _check_users(path: Path, users: Mapping[str, str]) -> None:
    if len(users) > _MAX_USERS:
        raise WebConfigError(f"{path}: basic_auth_users has {len(users)} users; at most {_MAX_USERS} are allowed")
    for name, secret in users.items():
        where = f"{path}: basic_auth_users.{name[:40]!r}"
        found = _HASH.fullmatch(secret)
        if not name or not name.isprintable() or ":" in name:
            raise WebConfigError(f"{where}: a name is printable text without a colon. Rename the user")
        if found is None:
            raise WebConfigError(f"{where}: this is no bcrypt hash. Make one with `htpasswd -nBC 10 NAME`")
        if int(found[1]) > _MAX_COST:
            remedy = "Hash the password again with `htpasswd -nBC 10 NAME`"
            raise WebConfigError(f"{where}: a check of cost {found[1]} takes seconds of CPU time. {remedy}")


def _absolute(tls: TlsServer, path: Path) -> TlsServer:
    def placed(file: str) -> str:
        return str(path.absolute().parent / file) if file else ""

    return msgspec.structs.replace(
        tls,
        cert_file=placed(tls.cert_file),
        key_file=placed(tls.key_file),
        client_ca_file=placed(tls.client_ca_file),
    )


def _check_tls(path: Path, tls: TlsServer) -> None:
    where = f"{path}: tls_server_config"
    if not tls.cert_file or not tls.key_file:
        raise WebConfigError(f"{where} needs cert_file and key_file")
    if (tls.client_auth_type != "NoClientCert") != bool(tls.client_ca_file):
        raise WebConfigError(f"{where}: client_auth_type other than NoClientCert and client_ca_file need each other")
    if tls.min_version > tls.max_version:
        raise WebConfigError(f"{where}: min_version {tls.min_version} is above max_version {tls.max_version}")
    _require_closed(Path(tls.key_file))


def _require_closed(path: Path) -> None:
    """Raise WebConfigError if users other than this one, root and the group may read a file with secrets."""
    try:
        status = path.stat()
    except OSError as error:
        raise WebConfigError(f"{path}: it cannot be read ({error.strerror}). Check the path and its owner") from error
    if status.st_mode & _OPEN_BITS or status.st_uid not in {0, os.geteuid()}:
        remedy = f"chown root:inferometer {path} && chmod 0640 {path}"
        raise WebConfigError(f"{path}: other users may read or change it; {remedy}")
