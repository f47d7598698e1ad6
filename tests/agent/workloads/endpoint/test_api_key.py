"""The API key: its sources, and the places where it never is."""

from __future__ import annotations

import ssl

import pytest

from agent.workloads.axes import request
from agent.workloads.endpoint.api_key import read_api_key
from agent.workloads.endpoint.spec import EndpointSpec
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.load.client import Client
from agent.workloads.load.target import parse_url, require_private_channel
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.runner.protocol import encode, load_command
from scripted_answers import Answer
from scripted_server import ScriptedServer
from trees import FIXTURES

KEY = "sk-secret-123"
CERTIFICATE, PRIVATE = FIXTURES / "tls/cert.pem", FIXTURES / "tls/key.pem"


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="ascii")
    file.chmod(0o600)
    return file


def spec_of(url, **given):
    return request(EndpointSpec, {"url": url, "prompt_tokens": (20,), "output_tokens": (2,), **given})[0]


def test_the_file_comes_before_the_variable(key_file):
    environment = {"OPENAI_API_KEY": "other"}
    assert read_api_key(key_file, environment) == KEY
    assert read_api_key(None, environment) == "other"
    assert read_api_key(None, {"OPENAI_API_KEY": ""}) is None


def test_a_file_that_others_can_read_is_refused(key_file):
    key_file.chmod(0o644)
    with pytest.raises(WorkloadError, match="other users have access") as refused:
        read_api_key(key_file, {})
    assert refused.value.remedy == f"chmod 600 {key_file}"


@pytest.mark.parametrize("content", ["", "a b", "a\nb", "ключ", "x" * 5000])
def test_a_file_without_a_key_is_refused_without_its_content(key_file, content):
    key_file.write_text(content, encoding="utf-8")
    with pytest.raises(WorkloadError, match="--api-key-file key") as refused:
        read_api_key(key_file, {})
    assert not content or content not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WorkloadError, match="--api-key-file nowhere: No such file"):
        read_api_key(tmp_path / "nowhere", {})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.1"])
def test_a_key_may_go_to_this_host_in_plain_text(host):
    require_private_channel(parse_url(f"http://{host}:1"), "the API key")
    require_private_channel(parse_url("https://192.0.2.1"), "the API key")


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "[2001:db8::1]", "10.0.0.1"])
def test_a_key_does_not_go_to_another_host_in_plain_text(host):
    with pytest.raises(WorkloadError, match="the API key is not sent to http://"):
        require_private_channel(parse_url(f"http://{host}:1"), "the API key")


def test_the_run_ends_before_a_key_is_sent_in_plain_text(key_file):
    spec = spec_of("http://192.0.2.1:8000", api_key_file=key_file)
    with WorkloadProcess() as process, pytest.raises(WorkloadError, match="everyone on the way could read it"):
        process.check(spec, EngineSpec(), [])


def test_the_key_is_sent_in_a_header_and_is_no_part_of_the_command(key_file):
    with ScriptedServer() as server:
        spec = spec_of(server.url, api_key_file=key_file)
        assert KEY.encode() not in encode(load_command(spec, EngineSpec()))
        with WorkloadProcess() as process:
            process.start(spec, EngineSpec())
            process.prepare({"concurrency": 1})
        assert {served.headers["authorization"] for served in server.served} == {f"Bearer {KEY}"}


def test_a_redirect_does_not_take_the_key_elsewhere(key_file):
    with ScriptedServer() as other, ScriptedServer([Answer(status=307)], headers=(f"Location: {other.url}",)) as server:
        with WorkloadProcess() as process:
            process.start(spec_of(server.url, api_key_file=key_file), EngineSpec())
            with pytest.raises(WorkloadError, match="http 307") as failed:
                process.prepare({"concurrency": 1})
        assert KEY not in str(failed.value)
        assert other.connections == 0


def test_an_error_of_the_server_that_repeats_the_key_is_shown_without_it():
    client = Client(parse_url("http://127.0.0.1:1"), {"Authorization": f"Bearer {KEY}", "X-Empty": ""}, 1.0)
    assert client.without_secrets(f"invalid key Bearer {KEY}, ends in 123") == "invalid key Bearer ..., ends in 123"


def test_a_server_is_verified_by_its_certificate(key_file):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, PRIVATE)
    with ScriptedServer(tls=context) as server:
        with WorkloadProcess() as process, pytest.raises(WorkloadError, match=r"(?i)certificate.verify.failed"):
            process.check(spec_of(server.url, api_key_file=key_file), EngineSpec(), [])
        with WorkloadProcess() as process:
            spec = spec_of(server.url, api_key_file=key_file, ca_file=CERTIFICATE)
            process.check(spec, EngineSpec(), [])
            process.start(spec, EngineSpec())
            process.prepare({"concurrency": 2})
            found = process.measure("serving", 0.2, 2)
    assert {each.outcome for each in found.load.requests} == {"ok"}
