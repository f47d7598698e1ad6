"""Certificates of a served exporter: changed files are used without a reload, and unusable ones are refused."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from agent.api.web_config import WebConfigError
from agent.api.web_security import WebSecurity
from certificates import Authority
from http_clients import connect
from secured_exporters import TLS, ask_tls, configured, rewritten, secured, trusting
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

    from agent.api.metrics import Exporter

pytestmark = pytest.mark.system


def serial(address: str, context: ssl.SSLContext) -> str:
    with connect(address) as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        return client.getpeercert()["serialNumber"].lstrip("0")


def test_a_renewed_certificate_and_changed_users_are_used_without_a_reload(exporter: Exporter, tmp_path: Path):
    path = configured(tmp_path)
    with secured(exporter, path) as address:
        before = serial(address, trusting(tmp_path))
        renewed = Authority.at(tmp_path).issue(tmp_path, "server").lstrip("0")
        await_true(lambda: served(address, tmp_path) == renewed)
        assert before != renewed
        rewritten(tmp_path, TLS)
        await_true(lambda: ask_tls(address, trusting(tmp_path))[0].status == 200)


def served(address: str, folder: Path) -> str:
    try:
        return serial(address, trusting(folder))
    except ssl.SSLError:
        return ""


def test_an_invalid_change_is_logged_once_and_the_last_valid_files_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    now = [0.0]
    path = configured(tmp_path)
    security = WebSecurity(str(path), lambda: now[0])
    context, users = security._context, security._users
    (tmp_path / "server.crt").write_text("not PEM")
    for _ in range(3):
        now[0] += 2.0
        security._refresh()
    assert (security._context, security._users) == (context, users)
    assert [record.message for record in caplog.records].count(
        "the web configuration is not used, the one before stays"
    ) == 1
    Authority.at(tmp_path).issue(tmp_path, "server")
    now[0] += 2.0
    security._refresh()
    assert security._context is not context


def test_a_renewed_certificate_forgets_no_password_that_was_checked(tmp_path: Path):
    now = [0.0]
    security = WebSecurity(str(configured(tmp_path)), lambda: now[0])
    context, users = security._context, security._users
    Authority.at(tmp_path).issue(tmp_path, "server")
    now[0] = 2.0
    security._refresh()
    assert security._context is not context
    assert security._users is users


def test_a_certificate_that_appears_after_the_file_that_names_it_is_used(tmp_path: Path):
    now = [0.0]
    security = WebSecurity(str(configured(tmp_path)), lambda: now[0])
    context = security._context
    rewritten(tmp_path, TLS.replace("server.", "later."))
    for now[0] in (2.0, 4.0):
        security._refresh()
        assert security._context is context
    Authority.at(tmp_path).issue(tmp_path, "later")
    now[0] = 6.0
    security._refresh()
    assert security._context is not context


def test_the_files_are_looked_at_once_a_second_at_most(tmp_path: Path):
    now = [0.0]
    path = configured(tmp_path)
    security = WebSecurity(str(path), lambda: now[0])
    rewritten(tmp_path, TLS)
    now[0] = 0.9
    security._refresh()
    assert security._users is not None
    now[0] = 1.0
    security._refresh()
    assert security._users is None


@pytest.mark.parametrize("content", ["not PEM", "", None])
def test_a_certificate_that_cannot_be_loaded_is_refused_at_first(tmp_path: Path, content: str | None):
    path = configured(tmp_path)
    if content is None:
        Authority.at(tmp_path).issue(tmp_path, "other")
        (tmp_path / "other.key").replace(tmp_path / "server.key")
    else:
        (tmp_path / "server.crt").write_text(content)
    with pytest.raises(WebConfigError, match=r"server\.crt.*cannot be loaded.*must be PEM"):
        WebSecurity(str(path))


def test_an_encrypted_key_is_refused_without_a_question(tmp_path: Path):
    from cryptography.hazmat.primitives import serialization

    path = configured(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
    encrypted = serialization.BestAvailableEncryption(b"passphrase")
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted)
    )
    with pytest.raises(WebConfigError, match="without a passphrase"):
        WebSecurity(str(path))
