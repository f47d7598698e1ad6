"""The options of a service level and of the search for a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.cli.service_options import ServiceOptions
from agent.profiling.serving_records import ServiceLevel
from command import call

if TYPE_CHECKING:
    from pathlib import Path

URL = ("profile", "endpoint", "--url", "http://127.0.0.1:9")


def test_a_level_has_limits_in_seconds_and_an_attainment():
    given = ServiceOptions(slo="ttft=500ms, tpot=50ms,e2e=10s", attainment="95%")
    assert given.level() == ServiceLevel(0.95, 0.5, 0.05, 10.0)
    assert ServiceOptions(slo="e2e=1.5s").level() == ServiceLevel(0.99, e2e_seconds=1.5)
    assert ServiceOptions().level() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slo", "ttft=5"), "--slo: 'ttft=5' is not a limit"),
        (("--slo", "ttft=0ms"), "--slo: 'ttft=0ms' is not a limit"),
        (("--slo", "ttft=1s,ttft=2s"), "--slo: 'ttft=2s' is not a limit"),
        (("--slo", ""), "--slo: '' is not a limit"),
        (("--slo", "e2e=1s", "--attainment", "2"), "--attainment: '2' is not a share"),
        (("--attainment", "95%"), "--attainment needs the limits of a request"),
        (("--find-max",), "--find-max needs the limits of a request"),
        (("--slo", "e2e=1s", "--find-max", "--rate", "1,2"), "--rate: --find-max searches one setting"),
        (("--slo", "e2e=1s", "--find-max", "--prompt-tokens", "8,9"), "--prompt-tokens: --find-max searches one"),
    ],
)
def test_an_option_that_is_not_a_level_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call(tmp_path, *URL, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_only_workloads_with_a_server_have_the_options(tmp_path: Path) -> None:
    assert "--find-max" in call(tmp_path, "profile", "endpoint", "--help").stdout
    assert "--find-max" not in call(tmp_path, "profile", "transformer", "--help").stdout
