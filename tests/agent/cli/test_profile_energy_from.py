"""`inferometer profile endpoint --energy-from`: the energy of a server's host, of which this host sees nothing."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import daemons
from command import call, finish, read_until, run, started
from endpoint_runs import LONGEST_GAP_SECONDS
from moving_counters import advancing_counters
from profile_runs import document, invalid
from scripted_answers import Answer
from scripted_server import ScriptedServer
from trees import powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDLE_WATTS, REQUEST_JOULES, CLIENT_WATTS = 20.0, 4.0, 7.0
LOAD = ("profile", "endpoint", "--concurrency", 1, "--prompt-tokens", 4, "--output-tokens", 5, "--api", "completions")
SHORT = ("--idle-seconds", 0.5, "--warmup-seconds", 0.2, "--window-seconds", 1.0)


@pytest.fixture
def serving_host(tmp_path: Path) -> Iterator[daemons.Daemon]:
    home = daemons.create_host(tmp_path / "server")
    with daemons.running(home) as daemon:
        yield daemon


@contextmanager
def server_on(host: daemons.Daemon) -> Iterator[ScriptedServer]:
    """Run a server whose energy is counted by the sensor of a host."""
    answers = [Answer(first_seconds=0.05, gap_seconds=0.02, joules=REQUEST_JOULES)]
    counter = daemons.counter(host.home)
    with ScriptedServer(answers, idle_watts=IDLE_WATTS, energy_file=counter) as server:
        yield server


@pytest.fixture
def client(tmp_path: Path) -> Iterator[tuple[object, ...]]:
    """Make a host with a sensor of its own, and yield the options that select it."""
    powercap_zone(tmp_path / "client/sys", "intel-rapl:0", "package-7", 1_000_000)
    with advancing_counters(tmp_path / "client/sys", {"intel-rapl:0": CLIENT_WATTS}):
        yield "--path.sysfs", tmp_path / "client/sys", "--path.procfs", daemons.PROC


def test_the_energy_is_that_of_the_host_of_the_server(
    serving_host: daemons.Daemon, client: tuple[object, ...], tmp_path: Path
):
    with server_on(serving_host) as server:
        to = ("--url", server.url, "--energy-from", f"http://{serving_host.address}")
        for _ in range(5):  # tests beside this one can take all CPUs
            server.longest_gap = 0.0
            done = run(tmp_path, *LOAD, *to, *SHORT, *client, "--json")
            if server.longest_gap < LONGEST_GAP_SECONDS and "no energy for" not in done.stderr:
                break
    assert done.returncode == 0, done.stderr
    found = document(done)
    (point,) = found["points"]
    assert point["energy"] is not None, invalid(point)
    assert [device["id"] for device in found["devices"] if device["kind"] == "cpu"] == ["package-0"]
    assert found["host_state"] == {"before": None, "after": None}
    assert any("read from http://127.0.0.1" in note for note in found["notes"])
    joules = point["energy"]["joules_per_inference"]["total"]
    true = REQUEST_JOULES + IDLE_WATTS / point["inferences_per_second"]["mean"]
    assert joules["lower"] <= true <= joules["upper"]
    assert joules["upper"] - joules["lower"] < true
    assert joules["source"] == "measured"


def test_a_host_of_the_server_that_stops_to_answer_withholds_the_energy_and_names_the_cause(
    serving_host: daemons.Daemon, client: tuple[object, ...], tmp_path: Path
):
    with server_on(serving_host) as server:
        to = ("--url", server.url, "--energy-from", f"http://{serving_host.address}")
        with started(tmp_path, *LOAD, *to, *SHORT, *client, "--repeats", 5, "--json") as process:
            read_until(process.stderr, "repeat 3")
            serving_host.end(signal.SIGKILL)
            done = finish(process)
    assert done.returncode == 0, done.stderr
    (point,) = document(done)["points"]
    assert point["energy"] is None
    assert point["mean_latency_seconds"]["mean"] > 0
    assert "Connection refused" in "\n".join(invalid(point))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--energy-from", "node1:19795"), "--energy-from: 'node1:19795' is not a URL such as http://host:19795"),
        (("--energy-from", "http://user:secret@node1"), "--energy-from: a URL with a user name or a password"),
        (("--energy-from", "http://node1", "--server-command", "serve"), "--server-command starts the server on this"),
    ],
)
def test_a_service_that_cannot_measure_the_server_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str):
    done = call(tmp_path, "profile", "endpoint", "--url", "http://127.0.0.1:9", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("to", "content", "mode", "message"),
    [
        ((), "user:secret", 0o600, "--energy-credentials file: a password needs --energy-from with https"),
        (("--energy-from", "http://node1:1"), "user:secret", 0o600, "a password needs --energy-from with https"),
        (("--energy-from", "https://node1:1"), "user:secret", 0o644, "other users have access to it: chmod 600 /"),
        (("--energy-from", "https://node1:1"), "secret", 0o600, "this is not user:password"),
        (("--energy-from", "https://node1:1"), None, 0o600, "No such file or directory: check the path"),
    ],
)
def test_a_password_that_cannot_be_given_safely_is_refused(
    tmp_path: Path, to: tuple[str, ...], content: str | None, mode: int, message: str
):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    done = call(tmp_path, "profile", "endpoint", "--url", "http://127.0.0.1:9", *to, "--energy-credentials", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "secret" not in done.stderr


def test_a_service_that_does_not_answer_ends_the_run_before_the_load(tmp_path: Path):
    with ScriptedServer() as server:
        done = run(tmp_path, *LOAD, "--url", server.url, "--energy-from", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "--energy-from: no sensor of the serving host can be read: 127.0.0.1:1: " in done.stderr
    assert "Remedy: give the address of its service" in done.stderr
    assert not [each for each in server.served if "completions" in each.path]
