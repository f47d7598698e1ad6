"""A sensor or a disk that fails during a profile: its cause is reported, and what was measured is not lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import fake_nvml
from command import finish, read_until, started
from moving_counters import advancing_counters
from profile_runs import BARE_METAL, SHORT, TINY, WATTS, invalid
from trees import copy_tree
from written_files import fill, mounted, needs_root

if TYPE_CHECKING:
    from pathlib import Path


def test_a_gpu_lost_during_a_run_withholds_the_energy_and_names_the_cause(tmp_path: Path) -> None:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [fake_nvml.H100])
    (tmp_path / "sys").mkdir()
    roots = ("--path.sysfs", tmp_path / "sys", "--path.nvml-library", library)
    line = (*TINY, *SHORT, *roots, "--no-estimates", "--batch", 1, "--repeats", 8, "--force", "--json")
    with started(tmp_path, *line) as process:
        read_until(process.stderr, "repeat 3")
        fake_nvml.write_state(library, [replace(fake_nvml.H100, error=fake_nvml.GPU_IS_LOST)])
        result = finish(process)
    assert result.returncode == 0, result.stderr
    (point,) = json.loads(result.stdout)["points"]
    assert not point["valid"]
    assert point["energy"] is None
    (check,) = (each for each in point["checks"] if each["name"] == "samples_bracket_window")
    assert check["status"] == "failed"
    assert "GPU is lost" in check["message"]


@needs_root
def test_a_disk_that_fills_up_during_a_run_is_reported_at_once_and_no_energy_is_lost(tmp_path: Path) -> None:
    small, server = tmp_path / "small", copy_tree("intel_server_2s", tmp_path / "tree")
    small.mkdir()
    line = (*TINY, *SHORT, "--path.sysfs", server, *BARE_METAL, "--batch", 1, "--repeats", 12, "--force", "--json")
    with (
        mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)),
        advancing_counters(server, WATTS),
        started(tmp_path, *line, "--database", small / "x.db") as process,
    ):
        read_until(process.stderr, "repeat 3")
        fill(small / "filler")
        shown = read_until(process.stderr, "samples wait: the store cannot be written")
        result = finish(process)
    assert "the disk is full" in shown
    assert "samples wait" not in result.stderr
    assert result.returncode == 1
    error = json.loads(result.stderr.splitlines()[-1])["error"]["message"]
    assert error.startswith(f"the profile above is not stored: {small / 'x.db'}: the disk is full")
    (point,) = json.loads(result.stdout)["points"]
    assert (invalid(point), point["repeats"]) == ([], 12)
    assert point["energy"]["joules_per_inference"]["total"]["source"] == "measured"
