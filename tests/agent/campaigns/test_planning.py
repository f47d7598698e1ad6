"""The plan of a run, and the changes of a campaign since it began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.campaigns.planning import begun, changes
from campaign_files import HEAD, campaign_of

if TYPE_CHECKING:
    from pathlib import Path

RUN = "20260101-000000-0123abcd"
WORKLOADS = """[[workload]]
name = "transformer"
options = { batch = 1 }
hosts = ["site=a"]
[[workload]]
name = "gemm"
"""
FILE = f"""repetitions = 3
tariff = "tariff.toml"
{HEAD}
[[host]]
name = "one"
labels = {{ site = "a" }}
database = "/srv/one.db"
[[host]]
name = "two"
labels = {{ site = "b" }}
{WORKLOADS}"""


def changed(folder: Path, before: str, now: str, price: float = 0.3) -> tuple[str, ...]:
    """Return the changes from a text to another, with a tariff whose price may have changed."""
    plans = []
    for text, each in ((before, 0.3), (now, price)):
        tariff = folder / "tariff.toml"
        tariff.write_text(f'currency = "EUR"\nprice_per_kwh = {each}\n')
        tariff.chmod(0o600)
        plans.append(begun(campaign_of(folder, text), RUN, 1))
    return changes(*plans)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("repetitions = 3", "repetitions = 4", ["repetitions is 4, and was 3"]),
        ("repetitions = 3", "repetitions = 3\nrequire_energy = true", ["require_energy is true, and was false"]),
        (
            "batch = 1",
            "batch = 2",
            ["workload 1 is transformer --quick --batch=2, and was transformer --quick --batch=1"],
        ),
        ('name = "gemm"', 'name = "gemm"\nmode = "rigorous"', ["workload 2 is gemm --rigorous, and was gemm --quick"]),
        ('[[workload]]\nname = "gemm"\n', "", ["workload 2 is not listed, and was gemm --quick"]),
        ("/srv/one.db", "/srv/1.db", ["database of host one is /srv/1.db, and was /srv/one.db"]),
        ('database = "/srv/one.db"\n', "", ["database of host one is not set, and was /srv/one.db"]),
        ('site = "b"', 'site = "a"', ["the workloads of host two are others"]),
        ('name = "one"', 'name = "eins"', ["host one is not listed any more", "host eins is new"]),
        (
            'name = "two"',
            'name = "two[1-2]"',
            ["host two is not listed any more", "host two1 is new", "host two2 is new"],
        ),
    ],
)
def test_a_change_that_the_results_depend_on_is_named(tmp_path: Path, old: str, new: str, found: list[str]) -> None:
    assert old in FILE
    assert list(changed(tmp_path, FILE, FILE.replace(old, new))) == found


def test_another_tariff_is_named_for_each_host_that_has_it(tmp_path: Path) -> None:
    one, two = changed(tmp_path, FILE, FILE, price=0.31)
    assert one.startswith("tariff of host one is that with the SHA-256 ")
    assert two.startswith("tariff of host two is that with the SHA-256 ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("repetitions = 3", "# a comment\nrepetitions = 3"),
        ("repetitions = 3", 'repetitions = 3\nother_load = 0.9\nany_version = true\nschedule = "Sun 02:00"'),
        ("repetitions = 3", "repetitions = 3\ntimeout_hours = 2\nclock_seconds = 2"),
        ('name = "two"', 'name = "two"\naddress = "two.example"\nprogram = "/opt/inferometer"\ndevices = { H100 = 8 }'),
        ('kind = "local"', 'kind = "ssh"\nforks = 3'),
        ("[[host]]", "[drift]\nshare = 0.1\n[[host]]"),
    ],
)
def test_rules_addresses_and_launchers_may_change(tmp_path: Path, old: str, new: str) -> None:
    assert old in FILE
    assert changed(tmp_path, FILE, FILE.replace(old, new, 1)) == ()
