"""TLS and passwords of a served exporter: users, versions, client certificates, addresses, and a real Prometheus."""

from __future__ import annotations

import ssl
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from agent.api.endpoint import Endpoint, serve
from agent.api.unix_socket import UnixAddress
from agent.api.web_config import WebConfigError
from agent.install.systemd import ask_health
from agent.runtime.http_get import get
from agent.sampling.remote.probe import RemoteHostError
from agent.sampling.remote.probe import connect as connect_host
from certificates import Authority
from http_clients import ask, raw
from prometheus_server import needs_prometheus, prometheus, query
from secured_exporters import PASSWORD, TLS, USER, USERS, ask_tls, basic, configured, rewritten, secured, trusting
from waiting import await_true

if TYPE_CHECKING:
    from pathlib import Path

    from agent.api.metrics import Exporter

pytestmark = pytest.mark.system


def test_a_scrape_over_tls_with_a_password_is_the_one_without(exporter: Exporter, tmp_path: Path):
    with closing(serve(exporter, "127.0.0.1:0")) as plain:
        _, expected = ask(plain.address, "/metrics")
    with secured(exporter, configured(tmp_path)) as address:
        for _ in range(3):
            answer, body = ask_tls(address, trusting(tmp_path), Authorization=basic())
            assert answer.status == 200
            assert body.partition(b"process_")[0] == expected.partition(b"process_")[0]


@pytest.mark.parametrize("path", ["/", "/metrics", "/metrics/all", "/api/v1/counters", "/-/healthy", "/nothing"])
def test_every_path_needs_the_password(exporter: Exporter, tmp_path: Path, path: str):
    with secured(exporter, configured(tmp_path)) as address:
        for headers in ({}, {"Authorization": basic(password="wrong")}):
            answer, body = ask_tls(address, trusting(tmp_path), path, **headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="inferometer", charset="UTF-8"'
            assert b"inferometer_" not in body


def test_many_guesses_are_answered_with_429_and_delay_no_known_user(exporter: Exporter, tmp_path: Path):
    with secured(exporter, configured(tmp_path)) as address:
        context = trusting(tmp_path)
        assert ask_tls(address, context, Authorization=basic())[0].status == 200
        statuses = {ask_tls(address, context, Authorization=basic(password=str(n)))[0].status for n in range(20)}
        assert statuses == {401, 429}
        assert ask_tls(address, context, Authorization=basic())[0].status == 200


def test_a_request_without_tls_gets_no_byte(exporter: Exporter, tmp_path: Path):
    with secured(exporter, configured(tmp_path)) as address:
        assert b"HTTP" not in raw(address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_users_without_tls_are_possible(exporter: Exporter, tmp_path: Path):
    with secured(exporter, rewritten(tmp_path, USERS)) as address:
        assert ask(address, "/metrics")[0].status == 401
        assert ask(address, "/metrics", Authorization=basic())[0].status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    ("least", "version", "accepted"),
    [
        ("TLS12", ssl.TLSVersion.TLSv1_1, False),
        ("TLS12", ssl.TLSVersion.TLSv1_2, True),
        ("TLS12", ssl.TLSVersion.TLSv1_3, True),
        ("TLS13", ssl.TLSVersion.TLSv1_2, False),
        ("TLS13", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_versions_below_the_least_are_refused(
    exporter: Exporter, tmp_path: Path, least: str, version: ssl.TLSVersion, accepted: bool
):
    context = trusting_after(tmp_path, f"{TLS}  min_version: {least}\n")
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with secured(exporter, tmp_path / "web.yml") as address:
        if accepted:
            assert ask_tls(address, context)[0].status == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                ask_tls(address, context)


def trusting_after(folder: Path, text: str) -> ssl.SSLContext:
    configured(folder, text)
    return trusting(folder)


@pytest.mark.parametrize(
    ("kind", "without"), [("RequireAndVerifyClientCert", False), ("VerifyClientCertIfGiven", True)]
)
def test_a_client_certificate_is_verified(exporter: Exporter, tmp_path: Path, kind: str, without: bool):
    authority = Authority.at(tmp_path)
    for name in ("server", "client"):
        authority.issue(tmp_path, name)
    other = tmp_path / "other"
    other.mkdir()
    Authority.at(other).issue(other, "stranger")
    rewritten(tmp_path, f"{TLS}  client_auth_type: {kind}\n  client_ca_file: ca.crt\n")
    with secured(exporter, tmp_path / "web.yml") as address:
        known, strange = trusting(tmp_path), trusting(tmp_path)
        known.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        strange.load_cert_chain(other / "stranger.crt", other / "stranger.key")
        assert ask_tls(address, known)[0].status == 200
        with pytest.raises((OSError, HTTPException)):
            ask_tls(address, strange)
        if without:
            assert ask_tls(address, trusting(tmp_path))[0].status == 200
        else:
            with pytest.raises((OSError, HTTPException)):
                ask_tls(address, trusting(tmp_path))


# --- the addresses ---------------------------------------------------------------------------------------------------


def test_the_unix_socket_needs_no_password(exporter: Exporter, tmp_path: Path):
    path, unix = configured(tmp_path), str(tmp_path / "http.sock")
    with closing(serve(exporter, "127.0.0.1:0", unix=UnixAddress(unix), web_config=str(path))):
        answer = get("http://localhost/metrics", 5.0, 1 << 20, unix_socket=unix)
    assert answer.status == 200
    assert b"inferometer_power_watts" in answer.body


def test_a_reload_adds_and_removes_the_password_of_an_address(exporter: Exporter, tmp_path: Path):
    path = rewritten(tmp_path, USERS)
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0")
        endpoint.show(exporter)
        listen = endpoint.address
        for web_config, status in ((str(path), 401), ("", 200), (str(path), 401)):
            endpoint.bind(listen, None, web_config)
            endpoint.show(exporter)
            await_true(lambda wanted=status: ask(listen, "/metrics")[0].status == wanted)


def test_a_new_address_has_its_own_password_and_the_old_one_stays_closed(exporter: Exporter, tmp_path: Path):
    path = rewritten(tmp_path, USERS)
    with closing(Endpoint()) as endpoint:
        endpoint.bind("127.0.0.1:0", None, str(path))
        endpoint.show(exporter)
        old = endpoint.address
        endpoint.bind("127.0.0.2:0")
        assert ask(old, "/metrics")[0].status == 401
        assert ask(endpoint.address, "/metrics")[0].status == 200


def test_an_unusable_web_configuration_binds_nothing(exporter: Exporter, tmp_path: Path):
    with pytest.raises(WebConfigError):
        serve(exporter, "127.0.0.1:0", web_config=str(tmp_path / "none.yml"))


@pytest.mark.parametrize("text", [TLS, TLS + USERS, USERS], ids=["TLS", "TLS and users", "users"])
def test_the_health_of_a_secured_service_is_found(exporter: Exporter, tmp_path: Path, text: str):
    with secured(exporter, configured(tmp_path, text)) as address:
        assert ask_health(address).ok


@pytest.mark.parametrize(("password", "answer"), [(PASSWORD, "answers 503: no sensors"), ("wrong", "answers 401")])
def test_a_run_on_another_host_gives_the_password(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, answer: str
):
    with secured(exporter, configured(tmp_path)) as address:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        with pytest.raises(RemoteHostError, match=answer):
            connect_host(f"https://{address}", basic(password=password))


@needs_prometheus
def test_a_real_prometheus_scrapes_over_tls_with_its_password(exporter: Exporter, tmp_path: Path):
    path = configured(tmp_path)
    (tmp_path / "password").write_text(PASSWORD)
    job = {
        "scheme": "https",
        "tls_config": {"ca_file": str(tmp_path / "ca.crt")},
        "basic_auth": {"username": USER, "password_file": str(tmp_path / "password")},
    }
    with (
        secured(exporter, path) as address,
        prometheus(tmp_path, {"secured": address}, job) as server,
    ):
        await_true(lambda: query(server, 'up{instance="secured"} == 1'), seconds=30.0)
        (found,) = query(server, "inferometer_power_watts") or [{}]
    assert found["value"][1] == "250"


@needs_prometheus
def test_a_real_prometheus_with_a_wrong_password_is_refused(exporter: Exporter, tmp_path: Path):
    path = configured(tmp_path)
    job = {
        "scheme": "https",
        "tls_config": {"ca_file": str(tmp_path / "ca.crt")},
        "basic_auth": {"username": USER, "password": "wrong"},
    }
    with secured(exporter, path) as address, prometheus(tmp_path, {"secured": address}, job) as server:
        await_true(lambda: query(server, 'up{instance="secured"} == 0'), seconds=30.0)
        assert query(server, "inferometer_power_watts") == []
