"""A sensor that fails during a profile: its cause reaches the checks of the points."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import fake_nvml
from command import finish, read_until, started
from profile_runs import SHORT, TINY

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
