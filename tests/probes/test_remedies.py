"""The remedy of an unreadable sensor follows from its cause."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from command import call
from probes import nvml, rapl
from probes.errors import ProbeUnavailableError, ReadError
from probes.hwmon import probe as hwmon
from probes.model import Roots
from probes.remedies import cause_of, is_denied, remedy_for
from trees import hwmon_chip, powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
NOBODY = 65534


@contextmanager
def as_another_user(folder: Path) -> Iterator[None]:
    """Open files as a user without privileges who can reach `folder`."""
    if os.geteuid():
        yield
        return
    for parent in (folder, *folder.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOENT, "removed"),
        (errno.EACCES, "root"),
        (errno.EPERM, "policy"),
        (errno.EIO, "dmesg"),
        (errno.ETIMEDOUT, "dmesg"),
        (errno.ENODEV, "removed"),
        (errno.ENXIO, "switched off"),
        (errno.EAGAIN, "no value yet"),
        (errno.EBUSY, "busy"),
        (errno.ENODATA, "firmware"),
        (errno.EOPNOTSUPP, "does not support"),
        (errno.EMFILE, "ulimit"),
        (errno.EPROTO, "dmesg"),
    ],
)
def test_every_cause_has_its_remedy_at_open_and_at_read(tmp_path: Path, number: int, word: str) -> None:
    refused = OSError(number, os.strerror(number), str(tmp_path))
    assert word in remedy_for(refused)
    assert cause_of(refused, tmp_path) == os.strerror(number)
    error = ReadError(f"{tmp_path}: {os.strerror(number)}")
    error.__cause__ = refused
    assert remedy_for(error) == remedy_for(refused)
    assert cause_of(error, tmp_path) == os.strerror(number)
    assert is_denied(error) is (number == errno.EACCES)


@pytest.mark.parametrize(("text", "shown"), [("N/A", "'N/A'"), ("", "''"), ("12 W", "'12 W'")])
def test_text_instead_of_a_number_is_quoted_and_its_path_appears_once(tmp_path: Path, text: str, shown: str) -> None:
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", text)  # type: ignore[arg-type]
    hwmon_chip(tmp_path, 0, "platform/meter", {"name": "power_meter", "power1_input": text})
    for family in (rapl, hwmon):
        (problem,) = family.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path))).problems
        assert problem.reason == f"{shown} is not a number"
        assert "invalid literal" not in problem.remedy
        assert f"{problem.sensor} {problem.reason} {problem.remedy}".count(str(tmp_path)) == 1


def test_six_zones_that_only_root_may_read_are_one_problem_with_one_remedy(tmp_path: Path) -> None:
    for socket in range(2):
        powercap_zone(tmp_path, f"intel-rapl:{socket}", f"package-{socket}", 1)
        for number, name in enumerate(("core", "dram")):
            powercap_zone(tmp_path, f"intel-rapl:{socket}:{number}", name, 1)
    for file in tmp_path.rglob("energy_uj"):
        file.chmod(0o400)
        if not os.geteuid():
            os.chown(file, 0, 0)
        else:
            file.chmod(0)
    with as_another_user(tmp_path):
        found = rapl.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path)))
    (problem,) = found.problems
    assert found.probes == ()
    assert all(name in problem.sensor for name in ("package-0", "package-1", "core", "dram"))
    assert "only root" in problem.reason
    assert problem.remedy.count("chmod 440") == 1
    assert "intel-rapl*:*/energy_uj" in problem.remedy


def test_zones_hidden_by_a_container_engine_are_a_problem_with_the_option_that_shows_them(tmp_path: Path) -> None:
    powercap = tmp_path / "class/powercap"
    powercap.mkdir(parents=True)
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        (powercap / zone).symlink_to(f"../../devices/virtual/powercap/intel-rapl/{zone}")
    (problem,) = rapl.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path))).problems
    assert problem.sensor.startswith("2 RAPL zones")
    assert "systempaths=unconfined" in problem.remedy


def test_measure_lists_unreadable_sensors_instead_of_reporting_none(tmp_path: Path) -> None:
    powercap_zone(tmp_path / "sys", "intel-rapl:0", "package-0", "N/A")  # type: ignore[arg-type]
    options = ("--path.sysfs", tmp_path / "sys", "--no-estimates", *NO_NVIDIA)
    result = call(tmp_path, "measure", *options, "--duration", "0.1")
    assert result.returncode == 1
    assert "no sensor was found" not in result.stderr
    assert "error: nothing here measures power: cannot read package-0" in result.stderr


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (fake_nvml.NO_PERMISSION, "/dev/nvidia*"),
        (fake_nvml.NOT_SUPPORTED, "Jetson"),
        (fake_nvml.GPU_IS_LOST, "xid"),
        (fake_nvml.UNKNOWN, "nvidia-smi"),
        (fake_nvml.TIMEOUT, "nvidia-smi"),
    ],
)
def test_the_remedy_of_a_gpu_follows_from_the_driver_s_error_code(tmp_path: Path, code: int, word: str) -> None:
    library = fake_nvml.build(tmp_path)
    refusing = fake_nvml.Gpu(
        "GPU-a",
        energy_joules=None,
        memory_bytes=None,
        utilization_ratio=None,
        sm_hertz=None,
        memory_hertz=None,
        celsius=None,
        throttle_reasons=None,
        errors={"nvmlDeviceGetPowerUsage": code},
    )
    fake_nvml.write_state(library, [refusing])
    (problem,) = nvml.discover(Roots(nvml_library=str(library), sysfs=str(tmp_path))).problems
    assert word in problem.remedy
    assert ("/dev/nvidia" in problem.remedy) is (code == fake_nvml.NO_PERMISSION)
    assert problem.device
    assert problem.device.device.id == "GPU-a"


@pytest.mark.parametrize(
    ("code", "word"),
    [(fake_nvml.VERSION_MISMATCH, "reboot"), (fake_nvml.DRIVER_NOT_LOADED, "modprobe"), (fake_nvml.UNKNOWN, "smi")],
)
def test_the_remedy_of_a_driver_that_does_not_start_follows_from_its_error_code(
    tmp_path: Path, code: int, word: str
) -> None:
    library = fake_nvml.build(tmp_path)
    fake_nvml.write_state(library, [], errors={"nvmlInit_v2": code, "nvmlInitWithFlags": code})
    with pytest.raises(ProbeUnavailableError) as refused:
        nvml.discover(Roots(nvml_library=str(library), sysfs=str(tmp_path)))
    assert word in refused.value.remedy
