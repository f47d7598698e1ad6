"""The power of a host from its BMC over IPMI: through a script, and through the real ipmitool and RMCP+."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ports import free_port
from probes.errors import ProbeUnavailableError, ReadError
from probes.ipmi import discover
from probes.model import Kind, Roots
from probes.settings import MeterConfig, SensorSettings

SECOND = 1_000_000_000
FIXTURES = Path(__file__).parents[2] / "fixtures/ipmi"
IPMITOOL = pytest.mark.skipif(not shutil.which("ipmitool"), reason="ipmitool is not installed")
LOCAL = MeterConfig(name="bmc", kind="ipmi", url="local")


@pytest.fixture
def roots(tmp_path):
    for name in ("dev", "commands"):
        (tmp_path / name).mkdir()
    (tmp_path / "dev/ipmi0").touch()
    return Roots(dev=str(tmp_path / "dev"), commands=str(tmp_path / "commands"))


def prints(roots, text, status=0):
    """Make an ipmitool that prints the arguments to a file, and the text."""
    program = Path(roots.commands) / "ipmitool"
    output = program.with_name("output")
    output.write_text(text, encoding="utf-8")
    program.write_text(
        f'#!/bin/sh\ncd "{program.parent}"\necho "$@" >> arguments\necho "$IPMI_PASSWORD" >> passwords\n'
        f'[ "$1" = -V ] && {{ echo "ipmitool version 1.8.19"; exit; }}\n'
        f"cat output {'>&2' if status else ''}; exit {status}\n",
        encoding="utf-8",
    )
    program.chmod(0o755)


def captured(watts=344, stamp="18:21:22"):
    text = (FIXTURES / "ipmitool_dcmi_power_reading.txt").read_text(encoding="utf-8")
    return text.replace("344", str(watts)).replace("18:21:22", stamp)


def network(folder, port=623, password="secret20", **keys):
    secret = folder / "password"
    secret.write_text(f"{password}\n", encoding="utf-8")
    secret.chmod(0o600)
    url = f"ipmi://127.0.0.1:{port}"
    return MeterConfig(name="bmc", kind="ipmi", url=url, user="reader", password_file=str(secret), **keys)


def found(roots, meter=LOCAL):
    return discover(roots, SensorSettings(meters=(meter,)))


def test_without_a_configured_bmc_the_family_is_absent():
    with pytest.raises(ProbeUnavailableError, match="no meter of kind ipmi is configured"):
        discover(Roots(), SensorSettings())


def test_the_own_bmc_is_read_in_band(roots):
    prints(roots, captured())
    (probe,) = found(roots).probes
    (channel,) = probe.channels
    assert (channel.path, channel.device.kind, channel.resolution) == ("meter-bmc/wall", Kind.BOARD, 1.0)
    assert ("program", "ipmitool version 1.8.19") in channel.device.attributes
    prints(roots, captured(watts=350, stamp="18:21:23"))
    assert probe.read(10 * SECOND) == [350]
    arguments = (Path(roots.commands) / "arguments").read_text(encoding="utf-8").splitlines()
    assert set(arguments) == {"-V", "-I open dcmi power reading"}
    probe.close()


def test_a_reading_is_new_unless_a_running_clock_has_the_same_time(roots):
    prints(roots, captured())
    (probe,) = found(roots).probes
    assert probe.read(10 * SECOND) == [344]  # the time stamp never changed, so it may be stuck
    prints(roots, captured(stamp="18:21:30"))
    assert probe.read(20 * SECOND) == [344]
    probe.read(30 * SECOND)
    assert probe.taken_ns is None
    prints(roots, captured(stamp="18:21:40"))
    assert probe.read(40 * SECOND) == [344]
    assert probe.taken_ns
    probe.close()


def test_the_program_is_not_started_more_often_than_every_two_seconds(roots):
    prints(roots, captured())
    (probe,) = found(roots).probes
    probe.read(10 * SECOND)
    started = (Path(roots.commands) / "arguments").read_text(encoding="utf-8").count("reading")
    probe.read(11 * SECOND)
    assert (Path(roots.commands) / "arguments").read_text(encoding="utf-8").count("reading") == started
    probe.close()


def test_the_password_is_in_the_environment_of_the_program_and_not_in_its_arguments(roots, tmp_path):
    prints(roots, captured())
    (probe,) = found(roots, network(tmp_path)).probes
    arguments = (Path(roots.commands) / "arguments").read_text(encoding="utf-8")
    assert "-I lanplus -H 127.0.0.1 -p 623 -L USER -N 2 -U reader -E dcmi power reading" in arguments
    assert "secret20" not in arguments
    assert "secret20" in (Path(roots.commands) / "passwords").read_text(encoding="utf-8")
    probe.close()


@pytest.mark.parametrize(
    ("text", "status", "remedy"),
    [
        ("DCMI request failed because: Invalid command (c1)\n", 1, "Redfish"),
        ("Could not open device at /dev/ipmi0 or /dev/ipmidev/0: Permission denied\n", 1, "--enable ipmi"),
        ("Error: Unable to establish IPMI v2 / RMCP+ session\n", 1, "user and password_file"),
        ("something else\n", 1, "by hand"),
        ("", 0, "by hand"),
    ],
)
def test_problems_name_the_cause_and_the_remedy(roots, text, status, remedy):
    prints(roots, text, status)
    result = found(roots)
    assert result.probes == ()
    assert remedy in result.problems[0].remedy


def test_a_deactivated_measurement_has_the_command_that_activates_it(roots):
    prints(roots, captured().replace("activated", "deactivated"))
    assert found(roots).problems[0].remedy == "activate it: ipmitool dcmi power activate"


def test_a_missing_program_a_missing_node_and_a_long_password_are_problems(roots, tmp_path):
    assert "apt install ipmitool" in found(roots).problems[0].remedy
    prints(roots, captured())
    assert "20 bytes" in found(roots, network(tmp_path, password="x" * 21)).problems[0].reason
    (tmp_path / "dev/ipmi0").unlink()
    assert "modprobe" in found(roots).problems[0].remedy


@pytest.fixture
def bmc(tmp_path):
    """Start a BMC on loopback; return its port and the function that sets its state."""
    port = free_port(socket.SOCK_DGRAM)
    state = tmp_path / "state.json"

    def change(**values):
        known = {"watts": 344, "stamp": 1_790_000_000, "active": True, "supported": True, **values}
        replacement = state.with_suffix(".new")
        replacement.write_text(json.dumps(known), encoding="utf-8")
        replacement.replace(state)

    change()
    argv = [sys.executable, Path(__file__).parents[2] / "power_bmc.py", str(port), state]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield port, change
        process.kill()


@IPMITOOL
def test_the_real_ipmitool_reads_a_bmc_over_the_network(bmc, tmp_path):
    port, change = bmc
    result = found(Roots(), network(tmp_path, port))
    assert not result.problems
    (probe,) = result.probes
    change(watts=412, stamp=1_790_000_009)
    assert probe.read(10 * SECOND) == [412]
    before_ns, after_ns = probe.taken_ns
    assert before_ns < after_ns
    change(active=False)
    with pytest.raises(ReadError, match="deactivated"):
        probe.read(20 * SECOND)
    change(watts=0xFFFF)
    with pytest.raises(ReadError, match="65535 W"):
        probe.read(30 * SECOND)
    change(watts=413, stamp=1_790_000_030)
    assert probe.read(40 * SECOND) == [413]
    probe.close()


@IPMITOOL
def test_the_real_ipmitool_names_an_unsupported_command_and_a_wrong_password(bmc, tmp_path):
    port, change = bmc
    change(supported=False)
    assert "Redfish" in found(Roots(), network(tmp_path, port)).problems[0].remedy
    change()
    assert "password_file" in found(Roots(), network(tmp_path, port, password="guess")).problems[0].remedy
