"""Headers from the command line."""

from __future__ import annotations

import pytest

from agent.workloads.errors import WorkloadError
from agent.workloads.http.headers import parse_headers, resolved


def test_headers_are_read_by_name():
    assert parse_headers(["Accept: text/plain", "X-Empty:"]) == {"Accept": "text/plain", "X-Empty": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Accept", "not the name of a header"),
        ("A b: c", "not the name of a header"),
        ("Content-Length: 3", "sets it itself"),
        ("X: a\r\nY: b", "printable ASCII"),
        ("Authorization: Bearer abc", "every process can read"),
        ("X-API-Key: abc", "every process can read"),
        ("X-Auth: abc", "every process can read"),
    ],
)
def test_a_wrong_header_is_refused_without_its_value(text, message):
    with pytest.raises(ValueError, match=message) as refused:
        parse_headers([text])
    assert "abc" not in str(refused.value)


def test_a_header_given_twice_is_refused():
    with pytest.raises(ValueError, match="given twice"):
        parse_headers(["Accept: a", "accept: b"])


def test_a_secret_header_comes_from_a_file_of_its_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "key"
    secret.write_text("Bearer abc\n", encoding="ascii")
    secret.chmod(0o600)
    headers = parse_headers(["Authorization: @key"])
    assert headers == {"Authorization": f"@{secret}"}
    assert resolved(headers) == {"Authorization": "Bearer abc"}
    secret.chmod(0o640)
    with pytest.raises(WorkloadError, match="other users have access") as refused:
        resolved(headers)
    assert refused.value.remedy == f"chmod 600 {secret}"


@pytest.mark.parametrize("content", [b"abc\r\nX-Other: 1", b"abc\xff", "ключ".encode()])
def test_a_secret_with_other_characters_than_a_header_may_have_is_refused_without_it(tmp_path, content):
    secret = tmp_path / "key"
    secret.write_bytes(content)
    secret.chmod(0o600)
    with pytest.raises(WorkloadError, match="other characters than printable ASCII") as refused:
        resolved({"X-Key": f"@{secret}"})
    assert "abc" not in str(refused.value)
