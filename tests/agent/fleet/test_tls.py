"""A server on another host proves its name by a certificate before a password or a profile is sent to it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from agent.fleet.retry import Retry
from agent.fleet.target import target_of
from postgresql_server import started_server
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system
ADDRESS, OPEN_ADDRESS = (f"127.{net}.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}" for net in (77, 78))
"""Loopback addresses of these tests alone, so that their servers have the usual port: one with TLS, one without."""
NAME = "db.example.com"


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """A self-signed certificate of `db.example.com`, and its key beside it, which the server can read."""
    with tempfile.TemporaryDirectory(prefix="inferometer-tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made, key = folder / "server.crt", folder / "server.key"
        words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
        names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
        command = ["openssl", "req", "-x509", *words, "-keyout", str(key), "-out", str(made), *names]
        subprocess.run(command, check=True, capture_output=True)
        if os.geteuid() == 0:
            os.chown(key, 65534, 65534)
        key.chmod(0o600)
        yield made


@pytest.fixture(scope="module")
def _server(certificate: Path) -> Iterator[None]:
    key = certificate.with_suffix(".key")
    with started_server(f"listen_addresses={ADDRESS}", "ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}"):
        yield


def url(name: str, root: Path | str, address: str = ADDRESS) -> str:
    return f"postgresql://tester@{name}/postgres?hostaddr={address}&sslrootcert={root}"


@pytest.mark.usefixtures("_server")
def test_a_connection_to_a_verified_server_is_encrypted(certificate: Path) -> None:
    target = target_of(url(NAME, certificate))
    assert target.url is not None
    engine = create_engine(target.url)
    with engine.connect() as connection:
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.exec_driver_sql(query).scalar() is True
    engine.dispose()


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(
    ("name", "root", "reason"),
    [
        ("other.example.com", None, 'certificate for "db.example.com" does not match host name "other.example.com"'),
        (NAME, "/nonexistent/root.crt", 'root certificate file "/nonexistent/root.crt" does not exist'),
        (NAME, "/etc/ssl/certs/ca-certificates.crt", "certificate"),
    ],
)
def test_an_unverified_server_is_refused_at_once(certificate: Path, name: str, root: str | None, reason: str) -> None:
    waits: list[str] = []
    with pytest.raises(StoreError) as refused:
        Retry(waits.append)(target_of(url(name, root or certificate)).engine)
    assert reason in str(refused.value)
    assert waits == []


def test_a_server_without_tls_is_refused_at_once(certificate: Path) -> None:
    waits: list[str] = []
    target = target_of(url(NAME, certificate, OPEN_ADDRESS))
    with started_server(f"listen_addresses={OPEN_ADDRESS}"), pytest.raises(StoreError, match="does not support SSL"):
        Retry(waits.append)(target.engine)
    assert waits == []
