"""`inferometer profile --id --bundle`: a profile of an id is measured once, however often the command runs."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from agent.bundles.archive import read_bundle
from command import call, finish, read_until, run, started
from profile_runs import BARE_METAL, SHORT, TINY

if TYPE_CHECKING:
    from pathlib import Path

UID = "20260101-000000-0123abcd-7"
ONCE = (*TINY, *SHORT, "--batch", 1, "--force", "--id", UID)


def profiles(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(home, "profiles", "list", "--json").stdout)["profiles"]
    return found


def test_the_second_command_of_an_id_measures_nothing_and_writes_the_same_bundle(tmp_path: Path) -> None:
    first = run(tmp_path, *ONCE, "--bundle", "first.zip")
    assert first.returncode == 0, first.stderr
    second = run(tmp_path, *ONCE, "--bundle", "second.zip", "--json")
    assert second.returncode == 0, second.stderr
    assert f"profile {UID} is stored already: nothing was measured" in second.stderr
    assert json.loads(second.stdout)["id"] == UID
    bundles = [read_bundle((tmp_path / name).read_bytes()) for name in ("first.zip", "second.zip")]
    assert bundles[0].document == bundles[1].document
    assert [bundle.manifest.uid for bundle in bundles] == [UID, UID]
    assert [each["id"] for each in profiles(tmp_path)] == [UID]
    assert call(tmp_path, "profiles", "show", UID).returncode == 0


def test_the_bundle_replaces_the_profile_on_standard_output(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        done = run(tmp_path, *ONCE, "--bundle", "/dev/stdout", stdout=output)
    assert done.returncode == 0, done.stderr
    assert read_bundle((tmp_path / "output").read_bytes()).manifest.uid == UID


def test_an_interrupted_profile_of_an_id_is_measured_again_and_replaced(tmp_path: Path) -> None:
    with started(tmp_path, *ONCE, "--repeats", 50, "--json") as process:
        read_until(process.stderr, "decode: repeat 4 of 50")
        os.killpg(process.pid, signal.SIGINT)
        interrupted = finish(process)
    assert json.loads(interrupted.stdout)["status"] == "interrupted"
    done = run(tmp_path, *ONCE, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "complete"
    [stored] = profiles(tmp_path)
    assert (stored["id"], stored["status"]) == (UID, "complete")


def test_a_profile_without_energy_is_measured_again_if_energy_is_required(tmp_path: Path) -> None:
    blind = (*ONCE, *BARE_METAL, "--path.sysfs", tmp_path, "--no-estimates", "--json")
    first = run(tmp_path, *blind)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["points"][0]["energy"] is None
    assert "is stored already" in run(tmp_path, *blind).stderr
    strict = run(tmp_path, *blind, "--require-energy")
    assert strict.returncode == 1
    assert "is stored already" not in strict.stderr
    assert "--require-energy: nothing on this host measures power" in strict.stderr


def test_a_second_command_waits_for_the_first_and_shows_its_profile(tmp_path: Path) -> None:
    with started(tmp_path, *ONCE, "--json") as first:
        read_until(first.stderr, "idle, before the model")
        os.killpg(first.pid, signal.SIGSTOP)  # it does not end before the second waits
        with started(tmp_path, *ONCE, "--json") as second:
            read_until(second.stderr, f"waiting for profile {UID}, which is being measured")
            os.killpg(first.pid, signal.SIGCONT)
            results = [finish(first), finish(second)]
    assert f"profile {UID} is stored already" in results[1].stderr
    assert json.loads(results[1].stdout) == json.loads(results[0].stdout)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--id", "../x"), "--id: its uid '../x' is not the id of a profile"),
        (("--id", "latest"), "--id: its uid 'latest' is not the id of a profile"),
        (("--id", "x.json"), "--id: its uid 'x.json' is not the id of a profile"),
        (("--id", "a", "--no-store"), "--id finds a stored profile again: leave out --no-store"),
        (("--bundle", "/dev/stdout", "--json"), "both write standard output: give one"),
    ],
)
def test_words_that_exclude_each_other_are_refused_before_anything_is_measured(
    tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    refused = call(tmp_path, *TINY, *words)
    assert refused.returncode == 2
    assert error in refused.stderr
