"""The place that a user names, its password, and the verification of a server on another host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.fleet.errors import FleetError
from agent.fleet.target import target_of


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


def sslmode(text: str) -> str | None:
    url = target_of(text).url
    assert url is not None
    mode = url.query.get("sslmode")
    assert mode is None or isinstance(mode, str)
    return mode


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://gpu1@db.example.com/fleet",
        "postgres://gpu1@192.0.2.7:5433/fleet",
        "postgresql+psycopg://gpu1@db.example.com/fleet?sslmode=verify-full",
        "postgresql://gpu1@/fleet?host=db.example.com",
        "postgresql://gpu1@/fleet?host=localhost&host=db.example.com",
        "postgresql://gpu1@localhost/fleet?hostaddr=192.0.2.7",
        "postgresql://gpu1@db.example.com/fleet?hostaddr=127.0.0.1",
        "postgresql://gpu1@localhost/fleet?service=other",
        "postgresql://gpu1@/fleet?host=/run/postgresql",
        "postgresql:///fleet",
    ],
)
def test_the_certificate_of_a_server_is_verified(text: str) -> None:
    assert sslmode(text) == "verify-full"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:5433", "[::1]"])
def test_a_server_on_this_host_needs_no_certificate(host: str) -> None:
    assert sslmode(f"postgresql://gpu1@{host}/fleet") is None


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGSERVICE"])
def test_a_variable_that_changes_the_host_needs_a_certificate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "192.0.2.7")
    assert sslmode("postgresql://gpu1@localhost/fleet") == "verify-full"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_a_mode_without_verification_is_refused(mode: str) -> None:
    with pytest.raises(FleetError, match=f"sslmode={mode} does not verify the server. Use sslmode=verify-full"):
        target_of(f"postgresql://gpu1@db.example.com/fleet?sslmode={mode}")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://gpu1:s3cret@db.example.com/fleet",
        "postgresql://gpu1@db.example.com/fleet?password=s3cret",
        "postgresql://gpu1@db.example.com/fleet?sslpassword=s3cret",
        "postgresql://gpu1@db.example.com/fleet?oauth_client_secret=s3cret",
    ],
)
def test_a_url_with_a_password_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(FleetError, match="has a password, which other users can read") as refused:
        target_of(text)
    assert "s3cret" not in str(refused.value)


def test_a_password_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    file.chmod(0o640)
    with pytest.raises(FleetError, match=f"other users have access to it: chmod 600 {file}$"):
        target_of("postgresql://gpu1@localhost/fleet", file)
    file.chmod(0o600)
    target = target_of("postgresql://gpu1@localhost/fleet", file)
    assert target.url is not None
    assert target.url.password == "s3cret"
    assert str(target) == "postgresql+psycopg://gpu1:***@localhost/fleet"
    file.write_text("\n")
    with pytest.raises(FleetError, match="it is empty"):
        target_of("postgresql://gpu1@localhost/fleet", file)


def test_a_password_file_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    url, folder = "postgresql://gpu1@localhost/fleet", tmp_path / "open"
    folder.mkdir()
    file = folder / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(file)
    inner = folder / "link"
    inner.symlink_to(folder / "password")
    for path in (file, link, inner):
        folder.chmod(0o777)
        with pytest.raises(FleetError, match="other users can replace it: move it to a folder of your own"):
            target_of(url, path)
        for mode in (0o1777, 0o755):
            folder.chmod(mode)
            target = target_of(url, path).url
            assert target is not None
            assert target.password == "s3cret"
    file.chmod(0o604)
    with pytest.raises(FleetError, match="other users have access to it"):  # also through a link
        target_of(url, link)


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(FleetError, match="it is empty"):
        target_of("postgresql://gpu1@localhost/fleet", tmp_path / "pipe")
    with pytest.raises(FleetError, match="it is not a file"):
        target_of("postgresql://gpu1@localhost/fleet", Path("/dev/zero"))


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://gpu1@db.example.com/fleet?sslmode=verify-full&sslmode=disable",
        "postgresql://gpu1@localhost,db.example.com/fleet?sslmode=disable",
        "postgresql://gpu1@/fleet?host=/run/postgresql,db.example.com&sslmode=disable",
        "postgresql://gpu1@/fleet?service=other&sslmode=disable",
        "postgresql://gpu1@/fleet?hostaddr=192.0.2.7&sslmode=disable",
    ],
)
def test_no_other_parameter_turns_the_verification_off(text: str) -> None:
    with pytest.raises(FleetError, match="sslmode=disable does not verify the server"):
        target_of(text)


def test_other_texts_are_directories_or_refused(tmp_path: Path) -> None:
    assert target_of(str(tmp_path)).folder == tmp_path
    for text in ("", "mysql://db.example.com/fleet", "https://example.com", "sqlite:///fleet.db"):
        with pytest.raises(FleetError, match="is not a place of profiles"):
            target_of(text)
    with pytest.raises(FleetError, match="a directory has no password"):
        target_of(str(tmp_path), tmp_path / "password")
    with pytest.raises(FleetError, match="this is a directory, not a PostgreSQL database"):
        target_of(str(tmp_path)).engine()
