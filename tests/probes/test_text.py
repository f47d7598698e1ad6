"""Text from hardware, firmware and the kernel cannot move a cursor, break a line or fail to encode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_nvml
from agent.host.inventory import operating_system
from agent.host.settings import read_host_settings
from command import call
from probes import nvml, rapl
from probes.cpu.model import parse_cpuinfo
from probes.hwmon import probe as hwmon
from probes.model import Roots
from probes.sysfs import read_label, read_text
from probes.text import decoded, one_line, printable
from trees import hwmon_chip, powercap_zone, write

if TYPE_CHECKING:
    from pathlib import Path

    from probes.model import Channel, DiscoveryResult

EVIL = "A\x1b[2J\x1b]0;title\x07\x00\x9b31m\u202eB\r\nC"
NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")


def texts(found: DiscoveryResult) -> list[str]:
    """Return every text of a discovery that a person or a database can encounter."""

    def of(channel: Channel) -> list[str]:
        device = channel.device
        pairs = [text for pair in device.attributes for text in pair]
        return [device.id, device.name, channel.domain, *pairs, *(text for key in channel.contained_in for text in key)]

    channels = [channel for probe in found.probes for channel in probe.channels]
    words = [text for problem in found.problems for text in (problem.sensor, problem.reason, problem.remedy)]
    return [*(text for channel in channels for text in of(channel)), *(probe.name for probe in found.probes), *words]


@given(st.text())
def test_unprintable_characters_are_replaced(text: str) -> None:
    assert one_line(text).isprintable()
    assert all(each.isprintable() or each in "\n\t" for each in printable(text))
    one_line(text).encode()


@given(st.binary(max_size=400))
def test_any_bytes_become_text(raw: bytes) -> None:
    assert decoded(raw).isprintable()
    assert len(decoded(raw)) <= 256


@pytest.mark.parametrize("text", ["GeForce RTX 4090", "µ-Controller ±5", "日本", ""])
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert one_line(text) == printable(text) == decoded(text.encode()) == text


def test_a_file_keeps_its_lines_and_a_label_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one\ttab\ntwo\x1b\xff\n\0")
    assert read_text(tmp_path / "file") == "one\ttab\ntwo\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert read_label(tmp_path / "file") == "one tab two\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert read_label(tmp_path / "missing") == ""


def test_labels_and_names_of_chips_and_zones_are_printable(tmp_path: Path) -> None:
    chip = {"name": EVIL, "power1_input": 5_000_000, "power1_label": EVIL, "label": EVIL}
    hwmon_chip(tmp_path, 0, "platform/meter", chip)
    write(tmp_path / "devices/platform/meter/unique_id", EVIL)
    write(tmp_path / "devices/platform/meter/product_name", EVIL)
    powercap_zone(tmp_path, "intel-rapl:0", EVIL, 1_000_000)
    for family in (hwmon, rapl):
        found = family.discover(Roots(sysfs=str(tmp_path), procfs=str(tmp_path)))
        assert found.probes
        assert all(map(str.isprintable, texts(found)))
        for probe in found.probes:
            probe.close()


@pytest.mark.parametrize("name", [b"\xf8\x95\xc2\xff\x03\x7f", EVIL.encode().replace(b"\0", b"").split(b"\r")[0]])
def test_a_gpu_of_any_name_is_measured(tmp_path: Path, name: bytes) -> None:
    library = fake_nvml.build(tmp_path)
    odd = fake_nvml.Gpu(
        "GPU-odd", name=name.decode(errors="surrogateescape"), serial=name.decode(errors="surrogateescape")
    )
    fake_nvml.write_state(library, [odd, fake_nvml.H100])
    found = nvml.discover(Roots(nvml_library=str(library), sysfs=str(tmp_path)))
    assert {probe.channels[0].device.id for probe in found.probes} == {"GPU-odd", fake_nvml.H100.uuid}
    assert all(map(str.isprintable, texts(found)))
    for probe in found.probes:
        probe.close()


def test_processor_operating_system_and_governor_are_printable(tmp_path: Path) -> None:
    line = EVIL.replace("\r\n", "")
    assert parse_cpuinfo(f"vendor_id\t: GenuineIntel\nmodel name\t: {line}\n").brand.isprintable()
    assert operating_system(f'PRETTY_NAME="{line}"').isprintable()
    write(tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor", EVIL)
    assert all(map(str.isprintable, read_host_settings(Roots(sysfs=str(tmp_path))).cpu_governors))


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_command_sends_control_characters_of_a_label_to_the_terminal(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    chip = {"name": "meter", "power1_input": 5_000_000, "power1_label": EVIL, "label": EVIL}
    hwmon_chip(tmp_path / "sys", 0, "platform/meter", chip)
    (tmp_path / "sys/class/powercap").mkdir()
    result = call(tmp_path, "devices", "--path.sysfs", tmp_path / "sys", *NO_NVIDIA, *options)
    assert result.returncode == 0, result.stderr
    assert all(each.isprintable() or each == "\n" for each in result.stdout + result.stderr)
    if options:
        json.loads(result.stdout)
