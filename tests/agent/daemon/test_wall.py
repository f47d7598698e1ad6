"""The service uses a stored wall factor only while it holds for the sensors of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.config import Config
from agent.daemon.wall import wall_factor
from agent.energy.wall_factor import WallFactor
from agent.host.wall_state import FILE_NAME, WallRecord, present_key, write_record
from probes.model import Roots
from sensor_channels import socket

if TYPE_CHECKING:
    from pathlib import Path

FACTOR = WallFactor(1.1, 40.0, 12, 60.0, 0.5, 110.0, 9000.0, 2.0, {"total": (9.0, 140.0), "processors": (9.0, 140.0)})
CHANNELS = socket(0, "dram")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration whose store has a wall factor of one socket beside it."""
    found = Config(database=str(tmp_path / "store.db"), roots=Roots(str(tmp_path)))
    key = present_key(found.roots, "host", CHANNELS)
    learned = "2026-11-01T10:00:00+00:00"
    write_record(tmp_path, WallRecord("inferometer.wall-factor.1", learned, ("meter-desk/wall",), {}, key, FACTOR))
    return found


def test_a_factor_of_the_present_sensors_is_used(config: Config) -> None:
    found = wall_factor(config, "host", CHANNELS)
    assert found is not None
    assert found.factor == FACTOR
    assert found.paths == {"package-0/package", "package-0/dram"}


def test_a_factor_of_other_sensors_or_of_another_host_is_not_used(config: Config) -> None:
    assert wall_factor(config, "host", socket(0)) is None
    assert wall_factor(config, "other", CHANNELS) is None


def test_a_damaged_file_and_a_missing_one_give_no_factor(config: Config, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{}", encoding="utf-8")
    assert wall_factor(config, "host", CHANNELS) is None
    (tmp_path / FILE_NAME).unlink()
    assert wall_factor(config, "host", CHANNELS) is None
