"""The TLS of meters: a pinned certificate, one of an authority, and every other one."""

from __future__ import annotations

import pytest

from meters import meter
from plug_server import FINGERPRINT, TLS, plug
from probes.errors import ProbeUnavailableError
from probes.meters.http import MeterHttp, TlsError
from probes.meters.tls import context_of

PAGES = {"/": {"watts": 1}}


def status(url: str, **keys: str) -> int:
    http = MeterHttp(meter("shelly", url, **keys))
    try:
        return http.request("GET", "/", seconds=5).status
    finally:
        http.close()


def test_the_pinned_certificate_is_accepted_under_any_name() -> None:
    for address in ("127.0.0.1", "127.0.0.2"):
        with plug(PAGES, tls=True, address=address) as state:
            assert status(state.url, fingerprint=FINGERPRINT) == 200


def test_a_certificate_of_an_authority_is_accepted_under_its_own_name() -> None:
    with plug(PAGES, tls=True) as state:
        assert status(state.url, ca_file=str(TLS / "cert.pem")) == 200
    with plug(PAGES, tls=True, address="127.0.0.2") as state, pytest.raises(TlsError, match="certificate"):
        status(state.url, ca_file=str(TLS / "cert.pem"))


@pytest.mark.parametrize("keys", [{}, {"fingerprint": "0" * 64}], ids=["unknown authority", "other fingerprint"])
def test_any_other_certificate_is_refused_before_a_request(keys: dict[str, str]) -> None:
    with plug(PAGES, tls=True) as state:
        with pytest.raises(TlsError, match="certificate"):
            status(state.url, **keys)
        assert state.requests == []


def test_a_refused_certificate_is_named_in_one_sentence() -> None:
    with plug(PAGES, tls=True) as state, pytest.raises(TlsError) as error:
        status(state.url, fingerprint="0" * 64)
    place = state.url.removeprefix("https://")
    assert str(error.value) == f"{place}: its certificate has the SHA-256 {FINGERPRINT}, not the configured one"


def test_a_file_without_certificates_is_unavailable_with_its_remedy(tmp_path) -> None:
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content:
            path.write_text(content)
        with pytest.raises(ProbeUnavailableError, match="has no certificates that can be read") as error:
            context_of(meter("shelly", "https://a", ca_file=str(path)))
        assert "PEM" in error.value.remedy
