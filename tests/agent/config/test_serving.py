from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import ConfigError, load, override
from agent.config.resolve import SharedOptions, effective_config
from agent.config.sample import sample_file, to_tables
from agent.config.serving import MOST_SERVERS
from agent.config.serving_kinds import KINDS
from agent.render.config_text import config_text, document

if TYPE_CHECKING:
    from collections.abc import Callable


ENTRY = '[[serving]]\nname = "chat"\nurl = "http://127.0.0.1:8000/metrics"\nkind = "vllm"\n'


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_server_has_the_metrics_of_its_kind(written) -> None:
    (server,) = load(written(ENTRY)).serving
    assert (server.name, server.url, server.port, server.kind) == (
        "chat",
        "http://127.0.0.1:8000/metrics",
        8000,
        "vllm",
    )
    assert server.metrics == KINDS["vllm"]
    assert (server.devices, server.credentials_file) == ((), "")


def test_the_port_follows_from_the_scheme(written) -> None:
    for scheme, port in (("http", 80), ("https", 443)):
        (server,) = load(written(ENTRY.replace("http://127.0.0.1:8000", f"{scheme}://llm.example.org"))).serving
        assert server.port == port


def test_settings_replace_the_metrics_of_the_kind(written) -> None:
    more = 'output_tokens = \'mine_total{kind="out"}\'\nmodel_label = "deployment"\ndevices = ["GPU-1"]\nmodel = "m"\n'
    (server,) = load(written(ENTRY + more)).serving
    assert server.metrics.output_tokens == ('mine_total{kind="out"}',)
    assert server.metrics.model_labels == ("deployment",)
    assert server.metrics.input_tokens == KINDS["vllm"].input_tokens
    assert (server.devices, server.model) == (("GPU-1",), "m")


def test_options_do_not_lose_the_servers(written) -> None:
    config = load(written(ENTRY))
    assert override(config, log_level="debug").serving == config.serving


def test_the_effective_configuration_shows_each_server_with_its_source(written) -> None:
    path = written(ENTRY + 'requests = "mine"\nmodel_label = "x"\n' + ENTRY.replace("chat", "other"))
    effective = effective_config(SharedOptions(path))
    shown = document(effective, None)
    assert shown["config"]["serving"] == [
        {
            "name": "chat",
            "url": "http://127.0.0.1:8000/metrics",
            "kind": "vllm",
            "requests": "mine",
            "model_label": "x",
        },
        {"name": "other", "url": "http://127.0.0.1:8000/metrics", "kind": "vllm"},
    ]
    assert 'serving[2].name = "other"' in config_text(shown)
    assert shown["sources"]["serving[1].requests"] == str(path)
    assert "serving" not in to_tables(load(written("")))


def test_the_sample_file_shows_a_server_in_comments(written) -> None:
    text = sample_file()
    assert load(written(text)).serving == ()
    start = text.index("# [[serving]]")
    lines = [line.removeprefix("# ") for line in text[start:].splitlines()]
    chosen = [line for line in lines if line.startswith(("[[serving]]", "name = ", "url = ", "kind = "))]
    (server,) = load(written("\n".join(chosen))).serving
    assert (server.name, server.kind) == ("chat", "vllm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "chat"', ""), r"serving\[1\]\.name is missing; add name"),
        (('name = "chat"', 'name = "a b"'), r"serving\[1\]\.name = 'a b' is not a name of 1 to 64"),
        (('name = "chat"', f'name = "{"x" * 65}"'), r"serving\[1\]\.name = .* is not a name of 1 to 64"),
        (("http://127.0.0.1:8000/metrics", ""), r"serving\[1\]\.url is missing"),
        (("http://", "ftp://"), r"serving\[1\]\.url = .* is not an http or https URL"),
        (("http://", "file:///etc/passwd"), r"serving\[1\]\.url = .* is not an http or https URL"),
        (("http://127", "http://user:secret@127"), r"serving\[1\]\.url = .* is not an http or https URL"),
        ((":8000", ":99999"), r"serving\[1\]\.url = .* is not an http or https URL"),
        ((":8000", ":0"), r"serving\[1\]\.url = .* is not an http or https URL"),
        (("metrics", "met rics"), r"serving\[1\]\.url = .* is not an http or https URL"),
        (("127.0.0.1", "169.254.169.254"), r"serving\[1\]\.url = .*: it is a link-local address"),
        (("127.0.0.1", "[fd00:ec2::254]"), r"serving\[1\]\.url = .*: it is the metadata service of a cloud"),
        (("127.0.0.1", "[fe80::1]"), r"serving\[1\]\.url = .*: it is a link-local address"),
        (("vllm", "ollama"), r"serving\[1\]\.kind = 'ollama' is not one of vllm, .* \(Ollama exports no metrics\)"),
        (("vllm", "generic"), r"serving\[1\]\.kind = 'generic' needs output_tokens, input_tokens or requests"),
        (('kind = "vllm"', 'kind = "vllm"\nrequests = "a b"'), r"serving\[1\]\.requests = 'a b' is not the name"),
        (('kind = "vllm"', 'kind = "vllm"\nmodel_label = "a-b"'), r"serving\[1\]\.model_label = 'a-b' is not"),
        (('kind = "vllm"', 'kind = "vllm"\nmodel = "a\\u001b"'), r"serving\[1\]\.model = .* is not a printable text"),
        (('kind = "vllm"', 'kind = "vllm"\ndevices = "GPU-1"'), r"serving\[1\]\.devices = 'GPU-1' is not a list"),
        (("[[serving]]", "[serving]"), r"serving = .* is not a list of tables, \[\[serving\]\]"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_number_and_field(written, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(ENTRY.replace(*change)))


def test_two_servers_with_one_name_are_refused(written) -> None:
    with pytest.raises(ConfigError, match="serving: 2 entries have the name 'chat'"):
        load(written(ENTRY * 2))


def test_too_many_servers_are_refused(written) -> None:
    with pytest.raises(ConfigError, match=r"33 servers below .* are more than 32"):
        load(written("".join(ENTRY.replace("chat", f"s{n}") for n in range(MOST_SERVERS + 1))))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_token_may_be_sent_on_this_host_and_by_https_only(written, host: str) -> None:
    token = 'credentials_file = "/etc/token"\n'
    assert load(written(ENTRY.replace("127.0.0.1", host) + token)).serving[0].credentials_file == "/etc/token"
    remote = ENTRY.replace("127.0.0.1", "llm.example.org") + token
    assert load(written(remote.replace("http:", "https:"))).serving
    with pytest.raises(ConfigError, match=r"serving\[1\]\.credentials_file would be sent over plain http"):
        load(written(remote))


def test_the_page_has_every_kind_of_server() -> None:
    page = (Path(__file__).parents[3] / "docs/production-traffic.md").read_text(encoding="utf-8")
    table = page.partition("| kind | server |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == KINDS.keys()
