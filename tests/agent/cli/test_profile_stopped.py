"""`inferometer profile` when it is stopped on its way: nothing is left running, and what is complete is kept."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from command import call, finish, read_until, started
from moving_counters import advancing_counters
from profile_runs import BARE_METAL, SHORT, TINY, WATTS, document, invalid, stored
from store.database import open_database
from store.records import RunStatus
from trees import copy_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from store.records import Run, Window


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped on its way: its own home, how it ended, and the workloads it had when it was stopped."""

    home: Path
    result: subprocess.CompletedProcess[str]
    workers: list[int]


def stop(home: Path, moment: str, signals: tuple[int, int], line: tuple[object, ...]) -> Stopped:
    """Run the command until it says `moment`, then send the first signal to it, the second to its workload."""
    home.mkdir()
    to_command, to_workload = signals
    with started(home, *line) as process:
        read_until(process.stderr, moment)
        workers = [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        if to_command:
            os.killpg(process.pid, to_command)
        if to_workload:
            os.kill(workers[0], to_workload)
        return Stopped(home, finish(process), workers)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Runs that are stopped at every kind of moment, all at the same time."""
    server = copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")
    tiny = (*TINY, *SHORT, "--path.sysfs", server, *BARE_METAL, "--batch", 1, "--json")
    long, slow = (*tiny, "--repeats", 50), (*tiny, "--warmup-seconds", 60)
    cases: dict[str, tuple[str, tuple[int, int], tuple[object, ...]]] = {
        "ctrl-c": ("decode: repeat 4 of 50", (signal.SIGINT, 0), long),
        "dies": ("decode: repeat 4 of 50", (0, signal.SIGKILL), long),
        "hung": ("decode: repeat 4 of 50", (0, signal.SIGSTOP), (*long, "--timeout", 40)),
        "ctrl-c early": ("loading the model", (signal.SIGINT, 0), slow),
        "ctrl-c idle": ("idle, before the model", (signal.SIGINT, 0), slow),
        "terminated": ("prefill: warming up", (signal.SIGTERM, 0), slow),
    }
    homes = tmp_path_factory.mktemp("homes")
    with advancing_counters(server, WATTS), ThreadPoolExecutor(len(cases)) as pool:
        waiting = {name: pool.submit(stop, homes / name.replace(" ", "-"), *given) for name, given in cases.items()}
        yield {name: future.result() for name, future in waiting.items()}


def only_run(home: Path) -> tuple[Run | None, tuple[Window, ...]]:
    """Return the one run in the database of `home`."""
    engine = open_database(str(home / "state/inferometer/inferometer.db"), create=False)
    with engine.connect() as connection:
        [run_id] = connection.execute(text("SELECT id FROM runs")).scalars()
    engine.dispose()
    return stored(home, run_id)


def test_ctrl_c_stops_the_workload_and_the_profile_has_the_complete_repeats(stopped: dict[str, Stopped]) -> None:
    ended = stopped["ctrl-c"]
    assert ended.result.returncode == 130
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    message = "interrupted: the workload was stopped; this profile has all complete repeats"
    error = {"kind": "interrupted", "exit_code": 130, "message": message}
    assert json.loads(ended.result.stderr.splitlines()[-1]) == {"error": error}
    found = document(ended.result)
    assert found["status"] == "interrupted"
    assert any("interrupted" in note for note in found["notes"])
    [point] = found["points"]
    kept, windows = stored(ended.home, found["id"])
    complete = sum(window.phase == "decode" for window in windows)
    assert complete >= 3
    assert invalid(point) == []
    assert point["repeats"] == complete  # a prefill alone is not taken for an inference
    assert {phase["repeats"] for phase in point["phases"]} == {complete}
    assert point["energy"]["joules_per_inference"]["total"]["source"] == "measured"
    assert kept is not None
    assert kept.status is RunStatus.INTERRUPTED
    assert kept.ended_ns > kept.started_ns


@pytest.mark.parametrize(("name", "code"), [("ctrl-c idle", 130), ("terminated", 143)])
def test_a_run_stopped_before_the_first_repeat_gives_a_reason_and_no_profile(
    stopped: dict[str, Stopped], name: str, code: int
) -> None:
    ended = stopped[name]
    assert (ended.result.returncode, ended.result.stdout) == (code, "")
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    error = json.loads(ended.result.stderr.splitlines()[-1])["error"]
    assert (error["kind"], error["exit_code"]) == ("interrupted", code)
    assert error["message"].startswith("interrupted: the workload was stopped; no repeat was complete")
    kept, windows = only_run(ended.home)
    assert kept is not None
    assert kept.status is RunStatus.INTERRUPTED
    assert all(not window.point for window in windows)
    assert json.loads(call(ended.home, "profiles", "list", "--json").stdout) == {"profiles": []}


def test_a_run_stopped_during_the_load_leaves_nothing_behind(stopped: dict[str, Stopped]) -> None:
    ended = stopped["ctrl-c early"]
    assert (ended.result.returncode, ended.result.stdout) == (130, "")
    assert not any(Path(f"/proc/{pid}").exists() for pid in ended.workers)
    assert "there is no profile" in ended.result.stderr
    assert "Traceback" not in ended.result.stderr


def test_a_hanging_workload_is_ended_by_the_timeout_and_the_profile_has_the_complete_repeats(
    stopped: dict[str, Stopped],
) -> None:
    ended = stopped["hung"]
    assert ended.result.returncode == 1
    assert "the transformer did not finish being measured" in ended.result.stderr
    assert "within 40 s beyond the 0.15 s of the window, the limit of --timeout" in ended.result.stderr
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    found = document(ended.result)
    assert found["status"] == "failed"
    assert found["points"][0]["repeats"] >= 3


def test_a_dying_workload_fails_the_run_and_the_profile_has_the_complete_repeats(stopped: dict[str, Stopped]) -> None:
    ended = stopped["dies"]
    assert ended.result.returncode == 1
    error = json.loads(ended.result.stderr.splitlines()[-1])["error"]
    assert error["message"].startswith("the workload process ended during 'measure' (killed by SIGKILL)")
    assert "out of memory" in error["message"]
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    found = document(ended.result)
    assert found["status"] == "failed"
    assert found["points"][0]["repeats"] >= 3
    assert any("the run failed" in note for note in found["notes"])
    kept, _ = stored(ended.home, found["id"])
    assert kept is not None
    assert kept.status is RunStatus.FAILED
