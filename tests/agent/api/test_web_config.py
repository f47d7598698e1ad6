from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.api.web_config import WebConfigError, read_web_config
from prometheus_server import needs_promtool
from secured_exporters import HASH, TLS, USER, USERS, configured, rewritten

EXAMPLE = Path(__file__).parents[3] / "docs/prometheus/web-config.yml"


def test_certificate_key_and_users_are_read_and_paths_begin_at_the_folder_of_the_file(tmp_path: Path):
    found = read_web_config(configured(tmp_path))
    assert found.tls
    assert (found.tls.cert_file, found.tls.key_file) == (str(tmp_path / "server.crt"), str(tmp_path / "server.key"))
    assert (found.tls.min_version, found.tls.client_auth_type) == ("TLS12", "NoClientCert")
    assert found.users == {USER: HASH}
    assert found.files == tuple(str(tmp_path / name) for name in ("web.yml", "server.crt", "server.key"))


def test_an_empty_file_sets_nothing(tmp_path: Path):
    found = read_web_config(rewritten(tmp_path, ""))
    assert (found.tls, found.users) == (None, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tls_server_config:\n  cert_file: server.crt\n", "key_file"),
        (f"{TLS}  min_version: TLS11\n", r"TLS11.*min_version"),
        (f"{TLS}  min_version: TLS13\n  max_version: TLS12\n", "min_version TLS13 is above max_version TLS12"),
        (f"{TLS}  client_auth_type: RequestClientCert\n", "client_auth_type"),
        (f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n", "need each other"),
        (f"{TLS}  client_ca_file: ca.crt\n", "need each other"),
        (f"{TLS}  cipher_suites: [x]\n", "cipher_suites"),
        (TLS.replace("server.crt", "''"), "needs cert_file and key_file"),
        ("rate_limit: {}\n", "rate_limit"),
        ("- a\n", "expected `object`|Expected `object`"),
        ("a: [\n", "not a web configuration"),
        (f"{'[' * 5000}", "not a web configuration"),
        ("basic_auth_users: &a {x: y}\n", "aliases"),
        ("basic_auth_users:\n  prometheus: secret\n", "no bcrypt hash"),
        (f"basic_auth_users:\n  'a:b': {HASH}\n", "without a colon"),
        (f"basic_auth_users:\n  p: {HASH.replace('$04$', '$16$')}\n", "cost 16 takes seconds"),
        ("basic_auth_users: {" + ", ".join(f"u{number}: {HASH}" for number in range(65)) + "}\n", "at most 64"),
        ("#" * 70_000, "larger than"),
    ],
)
def test_an_invalid_file_is_refused_with_the_key_and_the_reason(tmp_path: Path, text: str, reason: str):
    configured(tmp_path)
    path = rewritten(tmp_path, text)
    with pytest.raises(WebConfigError, match=f"(?s){tmp_path}.*({reason})") as caught:
        read_web_config(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["web.yml", "server.key"])
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_with_secrets_that_others_may_read_or_change_is_refused(tmp_path: Path, name: str, mode: int):
    path = configured(tmp_path)
    (tmp_path / name).chmod(mode)
    with pytest.raises(WebConfigError, match=f"{name}: other users may read or change it; chown root:inferometer"):
        read_web_config(path)


def test_a_file_without_secrets_may_be_public(tmp_path: Path):
    path = configured(tmp_path, TLS)
    path.chmod(0o644)
    (tmp_path / "server.key").chmod(0o640)
    assert read_web_config(path).tls


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(WebConfigError, match=r"none\.yml: it cannot be read"):
        read_web_config(tmp_path / "none.yml")
    path = configured(tmp_path)
    (tmp_path / "server.key").unlink()
    with pytest.raises(WebConfigError, match=r"server\.key: it cannot be read"):
        read_web_config(path)


def test_without_pyyaml_the_extra_is_named(tmp_path: Path):
    path = rewritten(tmp_path, USERS)
    code = (
        "import sys; sys.modules['yaml'] = None; from pathlib import Path; from agent.api import web_config\n"
        f"try: web_config.read_web_config(Path({str(path)!r}))\n"
        "except web_config.WebConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "PyYAML is not installed; install the extra `web`: pip install 'inferometer[web]'" in done.stdout


@needs_promtool
def test_promtool_and_the_exporter_accept_the_example(tmp_path: Path):
    configured(tmp_path)
    path = tmp_path / "web-config.yml"
    shutil.copyfile(EXAMPLE, path)
    path.chmod(0o600)
    assert list(read_web_config(path).users) == ["prometheus"]
    done = subprocess.run(["promtool", "check", "web-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_key_of_another_user_is_refused(tmp_path: Path):
    path = configured(tmp_path)
    os.chown(tmp_path / "server.key", 65534, 65534)
    with pytest.raises(WebConfigError, match="other users may read or change it"):
        read_web_config(path)
