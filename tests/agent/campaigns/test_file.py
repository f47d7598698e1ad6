"""The campaign file: its keys, its errors, and who may write it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.campaigns.commands import facts_task, profile_task
from agent.campaigns.errors import CampaignError
from agent.campaigns.file import read_campaign
from agent.campaigns.template import TEMPLATE
from agent.campaigns.trust import check_trusted, read_trusted
from campaign_files import HEAD, TWO_HOSTS, campaign_file, campaign_of

if TYPE_CHECKING:
    from pathlib import Path

WORKLOAD = '[[workload]]\nname = "transformer"\n'


def test_one_command_for_each_profile_has_the_options_of_the_file(tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.toml"
    tariff.write_text('currency = "EUR"\nprice_per_kwh = 0.3\n')
    tariff.chmod(0o600)
    campaign = campaign_of(
        tmp_path,
        'mode = "standard"\nrequire_energy = true\ntariff = "tariff.toml"\ntimeout_hours = 2\n'
        + TWO_HOSTS.replace('name = "two"', 'name = "two"\ndatabase = "/srv/two.db"\nprogram = "/opt/inferometer"'),
    )
    task = profile_task(campaign, campaign.hosts[1], campaign.workloads[0], "uid-1")
    assert task.command("/dev/stdout") == (
        *("/opt/inferometer", "profile", "transformer", "--standard", "--batch=1,8", "--id", "uid-1"),
        *("--require-energy", "--tariff", "/dev/stdin", "--database", "/srv/two.db", "--bundle", "/dev/stdout"),
    )
    assert task.given == tariff.read_text()
    assert task.timeout_seconds == 7200


def test_a_host_is_asked_for_its_facts_with_the_servers_that_its_profiles_measure(tmp_path: Path) -> None:
    served = '[[workload]]\nname = "endpoint"\n'
    campaign = campaign_of(
        tmp_path,
        f'{HEAD}[[host]]\nname = "one"\n[[host]]\nname = "two"\n{WORKLOAD}'
        f'{served}options = {{ url = "http://127.0.0.1:8000/v1?key=1" }}\nhosts = ["one"]\n'
        f'{served}options = {{ url = "http://127.0.0.1:8000", rate = 2.0 }}\nhosts = ["one"]\n'
        f'{served}options = {{ url = "http://127.0.0.1:9000", server-command = "llama-server -m m.gguf" }}\n',
    )
    commands = [facts_task(campaign, each.host, "u").command() for each in campaign.hosts]
    assert commands[0] == (
        *("inferometer", "campaign", "facts", "--server=http://127.0.0.1:8000", "-o", "/dev/stdout"),
    )
    assert commands[1] == ("inferometer", "campaign", "facts", "-o", "/dev/stdout")


def test_an_empty_table_drift_looks_for_drift_with_the_default_share(tmp_path: Path) -> None:
    assert campaign_of(tmp_path, f"repetitions = 3\n{TWO_HOSTS}").drift is None
    assert campaign_of(tmp_path, f"repetitions = 3\n{TWO_HOSTS}[drift]\n").drift == 0.05
    assert campaign_of(tmp_path, f"repetitions = 3\n{TWO_HOSTS}[drift]\nshare = 0.1\n").drift == 0.1


@pytest.mark.parametrize(("limit", "forced"), [(0.2, False), (0.5, False), (0.6, True)])
def test_the_limit_of_the_file_replaces_that_of_a_profile_if_it_is_higher(
    tmp_path: Path, limit: float, *, forced: bool
) -> None:
    campaign = campaign_of(tmp_path, f"other_load = {limit}\n{TWO_HOSTS}")
    task = profile_task(campaign, campaign.hosts[0], campaign.workloads[0], "u")
    assert ("--force" in task.command()) == forced


def test_the_program_of_a_command_workload_comes_last(tmp_path: Path) -> None:
    text = (
        f'{HEAD}[[host]]\nname = "one"\n[[workload]]\nname = "command"\noptions = {{ count = 4, show_output = true }}\n'
    )
    campaign = campaign_of(tmp_path, f'{text}words = ["sleep", "1"]\n')
    task = profile_task(campaign, campaign.hosts[0], campaign.workloads[0], "u")
    assert task.command()[2:5] == ("command", "--quick", "--count=4")
    assert task.command()[-5:] == ("--bundle", "/dev/stdout", "--", "sleep", "1")


def test_a_range_names_many_hosts_and_selectors_choose_among_them(tmp_path: Path) -> None:
    campaign = campaign_of(
        tmp_path,
        f'{HEAD}[[host]]\nname = "node[01-03]"\nlabels = {{ site = "berlin" }}\n[[host]]\nname = "edge"\n'
        f'{WORKLOAD}hosts = ["node02", "site=b*"]\n[[workload]]\nname = "gemm"\nhosts = ["e*"]\n',
    )
    assert [each.host.name for each in campaign.hosts] == ["node01", "node02", "node03", "edge"]
    chosen = [[each.host.name for each in campaign.hosts if plan.is_for(each.host)] for plan in campaign.workloads]
    assert chosen == [["node01", "node02", "node03"], ["edge"]]


def test_the_template_is_a_valid_campaign_of_two_hosts_on_this_machine(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, TEMPLATE)
    assert [each.host.name for each in campaign.hosts] == ["first", "second"]
    assert len({each.host.options for each in campaign.hosts}) == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "name is missing: add it"),
        ('name = "A b"', "name: 'A b' is not a name"),
        ('name = "n"', "there is no host: add a table [[host]]"),
        (f'{HEAD}[[host]]\nname = "a"\n', "there is no workload: add a table [[workload]]"),
        (f'{HEAD}[[host]]\nname = "-oProxyCommand=x"\n{WORKLOAD}', "is not the name of a host"),
        (f'{HEAD}[[host]]\nname = "../../etc"\n{WORKLOAD}', "is not the name of a host"),
        (f'{HEAD}[[host]]\nname = "n[3-1]"\n{WORKLOAD}', "[3-1] is not a range"),
        (f'{HEAD}[[host]]\nname = "n[1-999999]"\n{WORKLOAD}', "is not a range of at most 20,000"),
        (f'{HEAD}[[host]]\nname = "a"\n[[host]]\nname = "a"\n{WORKLOAD}', "host 2: a is listed twice"),
        (
            f'{HEAD}[[host]]\nname = "a"\nadress = "b"\n{WORKLOAD}',
            "host 1: unknown key 'adress': did you mean address?",
        ),
        (f'{HEAD}[[host]]\nname = "n[1-2]"\naddress = "b"\n{WORKLOAD}', "several hosts cannot have one address"),
        (f"{HEAD}[[host]]\n{WORKLOAD}", "host 1: give one of name and group"),
        (f'{HEAD}[[host]]\ngroup = "gpu"\n{WORKLOAD}', "the launcher local has no groups"),
        (f'{HEAD}[[host]]\nname = "a"\ndevices = {{ H100 = "8" }}\n{WORKLOAD}', "'H100' = '8' is not a number"),
        (f'{HEAD}[[host]]\nname = "a"\nlabels = {{ site = 3 }}\n{WORKLOAD}', "site = 3 is not a label"),
        (f'{HEAD}[[host]]\nname = "a"\ntariff = "no.toml"\n{WORKLOAD}', "no.toml: it cannot be read"),
        (
            f'{HEAD}[[host]]\nname = "a"\n{WORKLOAD}mode = "fast"',
            "mode = 'fast' is not one of quick, standard, rigorous",
        ),
        (f'{HEAD}[[host]]\nname = "a"\n{WORKLOAD}options = {{ id = "x" }}', "id has no place here: the head gives"),
        (f'{HEAD}[[host]]\nname = "a"\n{WORKLOAD}options = {{ "-o" = 1 }}', "'-o' is not the name of an option"),
        (f'{HEAD}[[host]]\nname = "a"\n{WORKLOAD}options = {{ batch = [] }}', "batch = [] is not a number, a text"),
        (f'{HEAD}[[host]]\nname = "a"\n{WORKLOAD}hosts = ["b"]', "hosts = ['b'] selects no host"),
        (f"{TWO_HOSTS}[drift]\nshare = 0.1\n", "a difference needs 3 runs on each side: set repetitions = 3"),
        (f'schedule = "Sun\\n[x]"\n{TWO_HOSTS}', "is not a text of one line"),
        (f'schedule = "$(x)"\n{TWO_HOSTS}', "is not a calendar event"),
        (f"repetitions = 0\n{TWO_HOSTS}", "repetitions = 0 is not an integer from 1 to 100"),
        (
            TWO_HOSTS.replace('"local"', '"rsh"'),
            "launcher: kind = 'rsh' is not one of ansible, kubernetes, local, slurm, ssh",
        ),
        (TWO_HOSTS.replace('"local"', '"local"\nforks = 3'), "launcher: unknown key 'forks'"),
        ("name = [", "this is not TOML"),
    ],
)
def test_an_error_names_the_file_the_key_and_the_fix(tmp_path: Path, text: str, error: str) -> None:
    path = campaign_file(tmp_path, text)
    with pytest.raises(CampaignError) as raised:
        read_campaign(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert error in str(raised.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = campaign_file(tmp_path, TWO_HOSTS)
    path.chmod(mode)
    with pytest.raises(CampaignError, match=r"other users can write it.* Run chmod go-w"):
        read_campaign(path)


def test_a_file_in_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = campaign_file(folder, TWO_HOSTS)
    folder.chmod(0o777)
    with pytest.raises(CampaignError, match="other users can replace it"):
        read_campaign(path)
    folder.chmod(0o1777)  # as /tmp: others cannot replace what is not theirs
    read_campaign(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another group")
@pytest.mark.parametrize(("group", "is_refused"), [(0, False), (65534, True)])
def test_the_group_of_a_folder_may_write_to_it_only_if_this_user_is_its_only_member(
    tmp_path: Path, group: int, *, is_refused: bool
) -> None:
    folder = tmp_path / "grouped"
    folder.mkdir()
    path = campaign_file(folder, TWO_HOSTS)
    os.chown(folder, 0, group)
    folder.chmod(0o770)
    if is_refused:
        with pytest.raises(CampaignError, match=f"they can write to {folder}"):
            read_campaign(path)
    else:
        read_campaign(path)


def test_a_link_on_the_way_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    path, shared = campaign_file(tmp_path, TWO_HOSTS), tmp_path / "open"
    shared.mkdir()
    (shared / "middle").symlink_to(path)
    (tmp_path / "first.toml").symlink_to(shared / "middle")
    read_campaign(tmp_path / "first.toml")
    shared.chmod(0o777)
    with pytest.raises(CampaignError, match=f"they can write to {shared}"):
        read_campaign(tmp_path / "first.toml")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = campaign_file(tmp_path, TWO_HOSTS)
    assert read_trusted(path, 1 << 20) == TWO_HOSTS.encode()
    with pytest.raises(CampaignError, match="it is larger than 0 MiB"):
        read_trusted(path, 10)
    with pytest.raises(CampaignError, match="it cannot be read"):
        read_trusted(tmp_path, 10)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_tariff_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    tariff = tmp_path / "tariff.toml"
    tariff.write_text('currency = "EUR"\n')
    tariff.chmod(mode)
    with pytest.raises(CampaignError, match=r"tariff: .*tariff\.toml: other users can write it"):
        campaign_of(tmp_path, f'tariff = "tariff.toml"\n{TWO_HOSTS}')


def test_the_home_of_a_user_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"tariff: '~nobody-of-this-name/t\.toml'.*Write the path in full"):
        campaign_of(tmp_path, f'tariff = "~nobody-of-this-name/t.toml"\n{TWO_HOSTS}')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = campaign_file(tmp_path, TWO_HOSTS)
    os.chown(path, 65534, 65534)
    with pytest.raises(CampaignError, match="it belongs to user 65534"):
        check_trusted(path)
