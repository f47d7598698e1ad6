"""The launcher `ssh`: its command line, and a real server."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.fields import Fields
from agent.campaigns.launchers.ssh import ADDRESS, SshLauncher, launcher
from agent.campaigns.records import Host, Task
from sshd_server import needs_sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NASTY = ("a b", "$(touch /tmp/x)", "`id`", "';rm -rf /;'", '"', "\\", "*", "-oProxyCommand=x", "~", "!x", "a\tb", "")
PYTHON_ECHO = "import json, sys; open(sys.argv[-1], 'w').write(json.dumps(sys.argv[1:-2]))"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with sshd(tmp_path_factory.mktemp("sshd") / "server") as path:
        yield path


class NoNotes:
    def get(self, _key: str) -> str | None:
        return None

    def put(self, _key: str, _text: str) -> None:
        raise AssertionError("ssh has no jobs to find again")


def task(host: Host, *words: str, given: str = "") -> Task:
    return Task(f"uid-{host.name}", host, words, given=given, timeout_seconds=60)


def test_every_word_reaches_the_shell_of_the_host_quoted() -> None:
    texts = SshLauncher(None, 1).render([task(Host("one", "me@one"), *NASTY)])
    [line] = texts.values()
    words = shlex.split(line)
    at = words.index("--")
    assert words[at + 1] == "me@one"
    assert shlex.split(words[at + 2]) == ["inferometer", *NASTY, "--bundle", "/dev/stdout"]
    assert len(words) == at + 3


def test_nothing_is_asked_no_unknown_host_is_accepted_and_nothing_is_forwarded(tmp_path: Path) -> None:
    path = tmp_path / "config"
    lines = ["ForwardAgent yes", "StrictHostKeyChecking no", "BatchMode no", "LocalForward 9 x:9", "ControlMaster auto"]
    path.write_text("\n  ".join(("Host one", *lines, "RemoteCommand tmux\n")))
    path.chmod(0o600)
    [line] = SshLauncher(path, 1).render([task(Host("one", "one"), "x")]).values()
    words = shlex.split(line)
    shown = subprocess.run(
        [words[0], "-G", *words[1 : words.index("--")], "one"], capture_output=True, text=True, check=True
    )
    found = dict(row.split(" ", 1) for row in shown.stdout.splitlines() if " " in row)
    assert found["batchmode"] == "yes"
    assert found["stricthostkeychecking"] in {"true", "yes"}
    assert found["forwardagent"] == found["forwardx11"] == found["permitlocalcommand"] == "no"
    assert found["clearallforwardings"] == "yes"
    assert found["controlmaster"] in {"false", "no"}
    assert found.get("remotecommand", "none") == "none"


@pytest.mark.parametrize(
    "address", ["-oProxyCommand=x", "a b", "a;b", "$(x)", "@host", "user@-host", "", "a\nb", "a/b"]
)
def test_an_address_that_ssh_could_take_for_an_option_or_a_command_is_refused(address: str) -> None:
    with pytest.raises(CampaignError, match=r"host one: address = .* is not user@host"):
        SshLauncher(None, 1).run([task(Host("one", address), "x")], NoNotes(), lambda _: True)


@pytest.mark.parametrize("address", ["one", "me@gpu-1.example.org", "10.0.0.1", "fe80::1%eth0", "_x", "a_b.c-d"])
def test_usual_addresses_are_taken(address: str) -> None:
    assert ADDRESS.fullmatch(address)


def test_a_configuration_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.touch()
    path.chmod(0o666)
    with pytest.raises(CampaignError, match=r"launcher: config: .*other users can write it"):
        launcher(Fields("launcher", {"config": "ssh_config"}, tmp_path))


@needs_sshd
def test_two_hosts_run_a_command_with_its_words_its_input_and_its_result(config: Path, tmp_path: Path) -> None:
    program = tmp_path / "inferometer"
    program.write_text(f'#!/bin/sh\ncat >&2\nexec python3 -c {shlex.quote(PYTHON_ECHO)} "$@"\n')
    program.chmod(0o755)
    hosts = [Host(name, name, str(program)) for name in ("one", "two")]
    tasks = [task(host, *NASTY, given="prices") for host in hosts]
    outcomes = {each.task.host.name: each for each in SshLauncher(config, 2).run(tasks, NoNotes(), lambda _: True)}
    for name in ("one", "two"):
        assert outcomes[name].code == 0, outcomes[name].errors
        assert outcomes[name].errors == "prices"
        assert json.loads(outcomes[name].result) == list(NASTY)


@needs_sshd
def test_an_unknown_host_key_and_a_missing_program_are_outcomes(config: Path) -> None:
    hosts = [Host("unknown", "unknown"), Host("one", "one", "/nowhere/inferometer")]
    tasks = [task(host, "profile") for host in hosts]
    outcomes = {each.task.host.name: each for each in SshLauncher(config, 2).run(tasks, NoNotes(), lambda _: True)}
    assert outcomes["unknown"].code is None
    assert outcomes["unknown"].detached
    assert "Host key verification failed" in outcomes["unknown"].errors
    assert outcomes["one"].code == 127
    assert not outcomes["one"].detached
