"""Basic and Digest: the examples of the standards."""

from __future__ import annotations

import re

import pytest

from probes.meters import http_login
from probes.meters.http_login import Digest, LoginError, basic

CHALLENGE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def test_basic_is_that_of_rfc_7617() -> None:
    assert basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_digest_is_that_of_rfc_7616(monkeypatch, algorithm: str, response: str) -> None:
    monkeypatch.setattr(http_login.secrets, "token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    login = Digest("Mufasa", "Circle of Life")
    assert login.header("GET", "/dir/index.html") is None
    login.accept(CHALLENGE.format(algorithm))
    header = login.header("GET", "/dir/index.html")
    assert f'response="{response}"' in header
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in header
    assert re.findall(r"nc=(\d+)", header + login.header("GET", "/")) == ["00000001", "00000002"]


@pytest.mark.parametrize(
    "challenge", ["", "Digest", 'Digest nonce="a", algorithm=MD5-sess, qop="auth"', 'Digest nonce="a"', "Bearer x"]
)
def test_an_unknown_login_is_refused(challenge: str) -> None:
    with pytest.raises(LoginError, match="it asks for the login"):
        Digest("a", "b").accept(challenge)
