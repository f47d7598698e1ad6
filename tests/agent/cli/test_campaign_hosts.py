"""Campaigns on real hosts: two stores on this machine, and two hosts through a real OpenSSH server."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import fake_nvml
from agent.host.activity import has_host_pids
from campaign_files import campaign_file
from command import ROOT, call, run
from sshd_server import needs_sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = (
    "{ layers = 1, width = 32, heads = 2, vocabulary = 64, prompt-tokens = 4, output-tokens = 3, threads = 1, "
    "batch = 1, idle-seconds = 0.2, warmup-seconds = 0.05, window-seconds = 0.15, force = true }"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with sshd(tmp_path_factory.mktemp("sshd") / "server") as path:
        yield path


def program(folder: Path) -> Path:
    """Write an `inferometer` that starts this checkout's, with a home of the test."""
    path = folder / "inferometer"
    words = shlex.join([sys.executable, "-m", "agent.cli.entry"])
    path.write_text(f'#!/bin/sh\nexport HOME={folder} PYTHONPATH={ROOT}\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


def two_hosts(folder: Path, launcher: str, extra: str = "") -> Path:
    own = program(folder)
    tables = "".join(
        f'[[host]]\nname = "{name}"\nprogram = "{own}"\ndatabase = "{folder}/{name}/inferometer.db"\n'
        for name in ("one", "two")
    )
    workload = f'[[workload]]\nname = "transformer"\noptions = {OPTIONS}\n'
    return campaign_file(folder, f'name = "pair"\nother_load = 1.0\n{extra}[launcher]\n{launcher}\n{tables}{workload}')


def profiles(home: Path, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(home, *words, "profiles", "list", "--json").stdout)["profiles"]
    return found


def test_two_stores_on_this_machine_and_that_of_the_head_have_the_profiles(tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.toml"
    tariff.write_text('currency = "EUR"\nprice_per_kwh = 0.3\n')
    tariff.chmod(0o600)
    file = two_hosts(tmp_path, 'kind = "local"', 'tariff = "tariff.toml"\n')
    done = run(tmp_path, "campaign", "run", file, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["status"] for each in found["hosts"]] == ["verified", "verified"]
    assert all(each["clock_seconds"] is not None for each in found["hosts"])
    ids = [each["uid"] for each in found["profiles"]]
    assert sorted(each["id"] for each in profiles(tmp_path)) == sorted(ids)
    for name, uid in zip(("one", "two"), ids, strict=True):
        database = tmp_path / name / "inferometer.db"
        assert [each["id"] for each in profiles(tmp_path, "--database", database)] == [uid]
    shown = json.loads(call(tmp_path, "profiles", "show", ids[0], "--json").stdout)
    assert shown["tariff"]["price_per_kwh"] == 0.3
    assert shown["points"][0]["name"] == found["figures"][0]["point"]
    again = run(tmp_path, "campaign", "resume", file, "--json")
    assert again.returncode == 0, again.stderr
    assert [each["uid"] for each in json.loads(again.stdout)["profiles"]] == ids


@needs_sshd
def test_two_hosts_over_ssh_are_verified_and_measured(tmp_path: Path, config: Path) -> None:
    file = two_hosts(tmp_path, f'kind = "ssh"\nconfig = "{config}"\nforks = 1')
    done = run(tmp_path, "campaign", "run", file, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["status"] for each in found["profiles"]] == ["done", "done"]
    assert len(profiles(tmp_path)) == 2


def test_a_host_prints_its_facts_with_the_start_of_its_process(tmp_path: Path) -> None:
    before = time.time_ns()
    done = run(tmp_path, "campaign", "facts")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert before - 50_000_000 <= facts["started_ns"] < facts["ended_ns"] <= time.time_ns()
    assert facts["ended_ns"] - facts["started_ns"] > 1_000_000_000
    assert facts["measuring"] == ""
    assert facts["schema"] == "inferometer.facts"
    assert {"id", "kind", "name"} == set(facts["devices"][0])


_SERVER = """
import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_the_server_that_is_measured_is_no_other_program_on_the_gpu(tmp_path: Path) -> None:
    library = fake_nvml.build(tmp_path)
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            fake_nvml.write_state(library, [replace(fake_nvml.H100, programs=(server.pid,))])
            asked = ("campaign", "facts", "--path.nvml-library", library)
            found = [json.loads(run(tmp_path, *asked, *own).stdout) for own in ((), ("--server", f"{url}/v1"))]
        finally:
            server.kill()
    users = [fake_nvml.H100.uuid] if has_host_pids("/proc", os.getpid()) else []  # in a container nobody is identified
    assert [each["gpu_users"] for each in found] == [users, []]
    assert all(each["other_load"] is not None for each in found)


def test_the_address_of_a_server_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    refused = call(tmp_path, "campaign", "facts", "--server", "localhost")
    assert refused.returncode == 2
    assert "--server is 'localhost': give a URL" in refused.stderr
