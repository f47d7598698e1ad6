"""`inferometer profile endpoint` and `http`, from the command line to the document."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from command import call, run
from profile_runs import BARE_METAL, document
from scripted_answers import Answer
from scripted_server import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path

SHORT = ("--idle-seconds", 0.1, "--warmup-seconds", 0.2, "--window-seconds", 0.3, "--force")
KEY = "sk-secret-456"


def test_an_endpoint_is_profiled_in_a_closed_loop(tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(KEY, encoding="ascii")
    key.chmod(0o600)
    with ScriptedServer([Answer(first_seconds=0.02, gap_seconds=0.005)], headers=("Server: llama.cpp",)) as server:
        load = ("--url", server.url, "--concurrency", "1,2", "--prompt-tokens", 20, "--output-tokens", 6)
        done = run(tmp_path, "profile", "endpoint", *load, "--api-key-file", key, *SHORT, *BARE_METAL, "--json")
        prompts = [served.body["messages"][0]["content"] for served in server.served]
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert [point["parameters"] for point in found["points"]] == [{"concurrency": 1}, {"concurrency": 2}]
    for point in found["points"]:
        serving = point["serving"]
        assert (serving["arrivals"], serving["errors"], serving["token_source"]) == ("closed", {}, "usage")
        assert serving["input_tokens"] == {"mean": 20.0, "minimum": 20, "maximum": 20}
        assert serving["output_tokens"] == {"mean": 6.0, "minimum": 6, "maximum": 6}
        assert serving["finish_reasons"] == {"length": serving["completed"]}
    assert found["engine"]["name"] == "llama.cpp"
    assert found["workload"]["settings"]["model"] == "scripted"
    assert found["workload"]["settings"]["url"] == server.url
    stored = dump(tmp_path)
    assert KEY not in done.stdout + done.stderr + stored
    assert not [prompt for prompt in prompts if prompt in done.stdout + done.stderr + stored]


def dump(home: Path) -> str:
    """Return all rows of the store as text."""
    with sqlite3.connect(home / "state/inferometer/inferometer.db") as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    return text


def test_an_http_service_is_profiled_in_an_open_loop(tmp_path: Path):
    body = tmp_path / "request.json"
    body.write_text('{"inputs": []}', encoding="ascii")
    with ScriptedServer([Answer(first_seconds=0.01)]) as server:
        load = ("--url", f"{server.url}/v2/infer?key=abc", "--body", body, "--rate", 40, "--arrivals", "constant")
        done = run(tmp_path, "profile", "http", *load, *SHORT, *BARE_METAL, "--json")
    assert done.returncode == 0, done.stderr
    found = document(done)
    (point,) = found["points"]
    assert point["parameters"] == {"rate": 40.0}
    assert (point["serving"]["arrivals"], point["serving"]["token_source"]) == ("constant", "none")
    assert point["serving"]["output_tokens"] is None
    assert "abc" not in done.stdout


def test_nothing_is_measured_if_the_server_does_not_answer(tmp_path: Path):
    with ScriptedServer() as server:
        pass
    done = call(tmp_path, "profile", "endpoint", "--url", server.url)
    assert done.returncode == 2
    assert "the server does not answer: " in done.stderr
    assert "idle" not in done.stderr


def test_options_of_an_engine_are_no_options_of_a_load(tmp_path: Path):
    for option in ("--threads", "--device", "--memory-limit"):
        done = call(tmp_path, "profile", "endpoint", option, "1")
        assert f"there is no option {option}" in done.stderr
