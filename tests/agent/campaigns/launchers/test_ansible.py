"""A campaign on a scripted Ansible, and the playbook that it gets; proofs/campaign_ansible.py runs the real one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agent.campaigns.errors import CampaignError
from agent.campaigns.launchers import ansible
from agent.campaigns.launchers.ansible_playbook import playbook_of
from agent.campaigns.records import Host, Task
from campaign_tasks import Head, Notes, fields_of, program, tasks_of
from command import ROOT
from scripted_ansible import Unsafe, install_ansible, load
from scripted_engines import state
from waiting import await_true

pytestmark = pytest.mark.system


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "ansible"
    programs = install_ansible(folder, {"n1": "", "n2": "", "n3": "unreachable"})
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return folder


def launcher(**options: object) -> ansible.AnsibleLauncher:
    return ansible.launcher(fields_of(**options))


def test_one_playbook_measures_on_all_hosts(tmp_path: Path, engine: Path) -> None:
    tasks = tasks_of(program(tmp_path), {"n1": ("measure", "a"), "n2": ("measure", "b")})
    head = Head()
    found = head.all_of(launcher(limit="site_a", forks=7, become=True).run(tasks, Notes(), head.proceed))
    assert [found[f"{name}-profile"].result for name in ("n1", "n2")] == [b"tariff of n1\na", b"tariff of n2\nb"]
    assert {outcome.code for outcome in found.values()} == {0}
    assert all(outcome.sent_ns <= outcome.received_ns for outcome in found.values())
    with state(engine) as seen:
        (call,) = seen["calls"]
        assert {"--forks=7", "--become"} <= set(call)


@pytest.mark.usefixtures("engine")
def test_a_host_that_fails_has_a_reason_and_does_not_fail_the_others(tmp_path: Path) -> None:
    words = {"n1": ("fail",), "n2": ("measure", "b"), "n3": ("measure", "c"), "n9": ("measure", "d")}
    head = Head()
    found = head.all_of(launcher().run(tasks_of(program(tmp_path), words), Notes(), head.proceed))
    assert (found["n1-profile"].code, found["n2-profile"].code) == (3, 0)
    assert "error: no engine" in found["n1-profile"].errors
    assert found["n3-facts"].errors == 'Failed to connect: "No route" to host'
    assert "ended with 0 without this host" in found["n9-facts"].errors
    assert not {"n3-profile", "n9-profile"} & set(found)


@pytest.mark.usefixtures("engine")
def test_a_refused_host_does_not_measure(tmp_path: Path) -> None:
    head = Head(refused=("n1",))
    found = head.all_of(launcher().run(tasks_of(program(tmp_path), {"n1": ("wait",)}), Notes(), head.proceed))
    assert set(found) == {"n1-facts"}


def test_a_head_that_stops_leaves_no_playbook(tmp_path: Path, engine: Path) -> None:
    outcomes = launcher().run(tasks_of(program(tmp_path), {"n1": ("wait",)}), Notes(), Head().proceed)
    assert next(outcomes).task.uid == "n1-facts"
    outcomes.close()
    with state(engine) as seen:
        book = Path(seen["calls"][0][-1])
    assert not book.parent.exists()


_HEAD = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from agent.campaigns.launchers import ansible
from campaign_tasks import Head, Notes, fields_of, program, tasks_of
tasks = tasks_of(Path({program!r}), {{"n1": ("wait",)}})
for outcome in ansible.launcher(fields_of()).run(tasks, Notes(), Head().proceed):
    print(outcome.task.uid, flush=True)
"""


def test_a_head_that_is_killed_leaves_no_process_of_ansible_and_no_folder(tmp_path: Path, engine: Path) -> None:
    """A playbook without its head would measure on, beside that of the next head."""
    text = _HEAD.format(root=str(ROOT), tests=str(ROOT / "tests"), program=str(program(tmp_path)))
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as head:
        assert head.stdout is not None
        assert head.stdout.readline() == b"n1-facts\n"
        with state(engine) as seen:
            folder = Path(seen["calls"][0][-1]).parent
        assert folder.is_dir()
        await_true(lambda: any("wait" in line for line in commands_in(tmp_path)))
        head.kill()
    await_true(lambda: not folder.exists() and commands_in(tmp_path) == [])


def commands_in(folder: Path) -> list[str]:
    """Return the commands of processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
    return [line for line in found if str(folder) in line and "pytest" not in line.partition(str(folder))[0]]


def test_every_value_of_the_campaign_is_unsafe() -> None:
    hostile = '{{ 7 * 7 }} {% if true %} "quoted" \\ # : 💥 ü \x7f \x85 \u2028 \u2029 \ufeff end'
    task = Task("u", Host("n1", "n1", options=("--database", hostile)), ("profile", hostile), (hostile,), given=hostile)
    text = playbook_of([task], Path("/r{{ 1 }}"))["playbook.yml"]
    variables = load(text)[0]["vars"]
    (found,) = variables["campaign_tasks"]["n1"]
    values = [*found["before"], *found["after"], found["given"], found["uid"], variables["campaign_results"]]
    assert all(type(value) is Unsafe for value in values)
    assert (*found["before"], "RESULT", *found["after"]) == task.command("RESULT")
    assert found["given"] == hostile


def test_the_playbook_is_the_same_for_any_values() -> None:
    files = [playbook_of([Task(uid, Host("n1", "n1"), (uid,))], Path("/r")) for uid in ("one", "two")]
    assert files[0]["task.yml"] == files[1]["task.yml"]
    first, second = (load(found["playbook.yml"])[0]["tasks"] for found in files)
    assert first == second


@pytest.mark.parametrize("address", ["-n1", "all:!n2", "n1,n2", "n*", "~n", "@file", ""])
def test_an_address_that_is_a_pattern_is_refused(address: str) -> None:
    with pytest.raises(CampaignError, match="is not a name of the inventory"):
        launcher().render([Task("u", Host("n1", address), ("facts",))])


def test_a_group_is_a_pattern_within_the_limit(engine: Path) -> None:
    assert launcher(limit="site_a").members("gpu") == ["n1", "n2", "n3"]
    with state(engine) as seen:
        assert seen["calls"] == [["ansible", "--limit=site_a", "--list-hosts", "--", "gpu"]]


def test_a_missing_ansible_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CampaignError, match="install ansible-core"):
        next(launcher().run(tasks_of(program(tmp_path), {"n1": ("measure", "a")}), Notes(), Head().proceed))
