"""Damaged input of every parser: no other exception than its own, and no number that the input does not have.

A family adds its parser with one line of PARSERS.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_cards import metrics_table
from damaged_input import Parser, damaged, is_derived, is_finite, numbers_of
from fake_xdna import FakeDriver
from plug_server import SHELLY_2, first_status, later_status, tasmota_status
from probes import ascend, fpga, gaudi, tenstorrent
from probes.amdgpu.metrics_table import decode
from probes.amdgpu.sensors import parse_levels
from probes.attributes import parse_percent
from probes.coral import parse_millidegrees
from probes.cpu.model import parse_cpuinfo
from probes.cpu.probe import parse_clocks
from probes.cpu.throttle import parse_states
from probes.cpu.utilization import parse_times
from probes.cray import parse_line
from probes.fdinfo import parse_fdinfo
from probes.furiosa import parse_cards
from probes.hailo import parse_power
from probes.intel_npu.telemetry import celsius, energy_counts
from probes.ipmi import dcmi
from probes.memory import parse_meminfo
from probes.meters.json_body import json_object
from probes.mqtt import messages
from probes.neuron.monitor import parse as parse_report
from probes.perf_events import parse_terms
from probes.plugs.shelly import parse_first, parse_identity, parse_later
from probes.plugs.tasmota import parse_status
from probes.printed import json_in, quantity
from probes.qaic import parse_query
from probes.rebellions import parse_stat
from probes.redfish import documents
from probes.redfish.sources import control_sources, environment_sources
from probes.resctrl import parse_joules
from probes.rockchip import parse_cores
from probes.scpi import answers
from probes.sysfs import ValueFile
from probes.xdna.driver import parse_sensors
from trees import FIXTURES

OF_WATTS = (1.0, 1e-3, 1e-6, 1e3)
"""The factors of W, mW, uW and kW."""
OF_UNITS = (*OF_WATTS, 0.01, 2.0**10, 2.0**20, 2.0**30, 1e6, 1e9)
"""The factors of every unit of a power, a ratio, a memory, a clock and a temperature."""
LIMITED = dict.fromkeys(("accumulation_counter", "prochot", "ppt", "socket_thm", "vr_thm", "hbm_thm"), 7)
HAILO = "Executing on device: 0000:01:00.0\nCurrent power consumption (W): 0.63\n"


def fixture(path: str) -> str:
    return (FIXTURES / path).read_text(encoding="utf-8")


GAUDI = "0000:19:00.0, 01P4-HL3090A0-18, HL-325L, 1.22.1, 131072 MiB, 672 MiB, 226 W, 850 W, 36 C, 12 %\n"
NEURON = fixture("neuron/neuron-monitor_inf2xl_busy.jsonl")
TELEMETRY = (FIXTURES / "trees/intel_npu_lnl/sys/class/intel_pmt/telem1/telem").read_bytes()


def redfish(path: str) -> bytes:
    return fixture(f"redfish/dmtf/Chassis/{path}/index.json").encode()


def integer_file(raw: bytes) -> int:
    """Read a file of the kernel that has this content."""
    file = ValueFile(Path("/dev/null"))
    try:
        return file.read_by(lambda *_: raw)
    finally:
        file.close()


def power_in(text: str) -> object:
    """Read the powers of a document as the probes of programs do."""
    document = json_in(text)
    cards = document.get("cards") if isinstance(document, dict) else None
    found = [card.get("power") for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    return [quantity(power, "W") for power in found]


def redfish_values(body: bytes) -> list[float]:
    """Read the power and the energy of EnvironmentMetrics, PowerControl and a Sensor."""
    resource = documents.resource_in(body)
    found = [
        documents.environment_watts(resource),
        documents.environment_joules(resource, "Reading", "EnergykWh"),
        documents.control_watts(resource, "0"),
        documents.sensor_value(resource, "Reading", documents.JOULES_PER_KWH),
        *(source.pick(resource) for source in (*environment_sources("", resource), *control_sources("", resource))),
    ]
    return [float(value) for value in found if value is not None]


PARSERS = (
    Parser("integer file", integer_file, b"240422366267\n"),
    Parser("/proc/meminfo", parse_meminfo, fixture("proc/xeon_guest/meminfo"), (1024.0,), (ValueError,)),
    Parser("/proc/stat", parse_times, fixture("proc/xeon_guest/stat").encode(), raises=(ValueError,), sums=True),
    Parser("clocks of /proc/cpuinfo", parse_clocks, fixture("proc/xeon_guest/cpuinfo"), (1e6,), (ValueError,)),
    Parser("/proc/cpuinfo", parse_cpuinfo, fixture("proc/xeon_guest/cpuinfo")),
    Parser("/proc/cpuinfo of Arm", parse_cpuinfo, fixture("proc/altra/cpuinfo")),
    Parser("states of a cooling device", parse_states, "state0\t5000\nstate1\t120\n", raises=(ValueError,)),
    Parser("resctrl counter", parse_joules, b"54446119.644974\n", (1e9,)),
    Parser("Cray counter", parse_line, b"873 W 1734094386462336 us\n", (1.0, 1e3)),
    Parser("perf event", parse_terms, "event=0x02,umask=16,inv", raises=(ValueError,), constants=frozenset({1})),
    Parser("JSON of a program", power_in, 'driver 5\n{"cards": [{"power": "38.40 W"}, {"power": 4}]}\n', OF_WATTS),
    Parser("quantity in watts", lambda text: quantity(text, "W"), "17521800uW", OF_WATTS),
    Parser("hl-smi -Q", gaudi.parse, GAUDI + GAUDI.replace("0000:19", "0000:B3"), OF_UNITS),
    Parser("tt-smi -s", tenstorrent.parse, fixture("tenstorrent/tt-smi_snapshot_p300c.json"), OF_UNITS),
    Parser("npu-smi info", ascend.parse, fixture("ascend/npu-smi_info_910.txt"), OF_UNITS),
    Parser("npu-smi info -t common", ascend.parse_common, fixture("ascend/npu-smi_info_-t_common_-i_0.txt"), OF_UNITS),
    Parser("xrt-smi examine", fpga.parse, fixture("xrt/xbutil_examine_electrical.json"), OF_UNITS),
    Parser("neuron-monitor", parse_report, NEURON, OF_UNITS),
    Parser("Intel telemetry", lambda raw: (energy_counts(raw), celsius(raw)), TELEMETRY[0x70:0x78], binary=True),
    Parser(
        "gpu_metrics of a card",
        decode,
        metrics_table((1, 6), energy_accumulator=5, system_clock_counter=6, socket_power=300, **LIMITED),
        (1.0, 0.01),
        binary=True,
    ),
    Parser(
        "gpu_metrics of an APU", decode, metrics_table((3, 0), socket_power=1, gfx_power=9), (1e-3, 1.0), binary=True
    ),
    Parser("pp_dpm_sclk", parse_levels, b"0: 132Mhz\n1: 2100Mhz *\n", (1e6,)),
    Parser("gpu_busy_percent", parse_percent, b"86\n", (0.01,)),
    Parser(
        "amdxdna sensors",
        lambda raw: parse_sensors(raw).watts,
        FakeDriver().records(),
        tuple(10.0**exponent for exponent in range(-9, 10)),
        binary=True,
    ),
    Parser("fdinfo", parse_fdinfo, fixture("trees/fdinfo/proc/4242/fdinfo/5")),
    Parser("rbln-stat", parse_stat, fixture("rebellions/rbln-stat.json"), OF_UNITS),
    Parser("furiosa-smi", parse_cards, fixture("furiosa/furiosa-smi_info.json"), OF_UNITS),
    Parser("qaic-util", lambda text: parse_query(text, {}), fixture("qualcomm/qaic-util_-q.txt"), OF_UNITS),
    Parser("hailortcli", parse_power, HAILO, OF_WATTS),
    Parser("rknpu load", parse_cores, b"NPU load:  Core0: 45%, Core1: 32%, Core2:  0%,\n", (0.01,)),
    Parser("temp of apex", parse_millidegrees, b"48800\n", (1e-3,)),
    Parser("identity of a Shelly", parse_identity, json.dumps(SHELLY_2).encode(), constants=frozenset({1})),
    Parser(
        "Shelly, first generation",
        lambda body: parse_first(json_object(body, "a plug"), "", 0),
        json.dumps(first_status()).encode(),
        (1.0, 60.0, 3600.0),
    ),
    Parser(
        "Shelly, later generations",
        lambda body: parse_later(json_object(body, "a plug"), "", 0),
        json.dumps(later_status()).encode(),
        (1.0, 3600.0),
    ),
    Parser(
        "Tasmota",
        lambda body: parse_status(json_object(body, "a plug")),
        json.dumps(tasmota_status()).encode(),
        (1.0, 3.6e6),
    ),
    Parser(
        "MQTT message of Tasmota",
        lambda body: messages.values_of(body, messages.PRESETS["tasmota"]),
        json.dumps(tasmota_status()["StatusSNS"]).encode(),
        (1.0, 3.6e6),
    ),
    Parser("MQTT message of a number", lambda body: messages.value_at(body, messages.WHOLE), b"38.4"),
    Parser("answer of an instrument", answers.number_in, "+3.84E+01,2.0"),
    Parser("quantity in joules", lambda text: quantity(text, "J"), "2.5 kWh", (1.0, 1e-3, 1e-6, 3600.0, 3.6e6)),
    Parser("Redfish environment", redfish_values, redfish("1U/EnvironmentMetrics"), (1.0, 3.6e6)),
    Parser("Redfish power control", redfish_values, redfish("1U/Power"), (1.0, 3.6e6)),
    Parser("Redfish sensor", redfish_values, redfish("1U/Sensors/TotalEnergy"), (1.0, 3.6e6)),
    Parser("DCMI power reading", dcmi.parse, fixture("ipmi/ipmitool_dcmi_power_reading.txt")),
    Parser("older DCMI power reading", dcmi.parse, fixture("ipmi/ipmitool_dcmi_power_reading_older.txt")),
)


def parsed(parser: Parser, content: bytes) -> object:
    """Return the result, None if the parser refuses the input."""
    given_input = content if isinstance(parser.example, bytes) else content.decode(errors="replace")
    try:
        return parser.parse(given_input)
    except parser.raises:
        return None


def as_bytes(example: str | bytes) -> bytes:
    return example if isinstance(example, bytes) else example.encode()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_a_valid_input_gives_numbers_that_it_has(parser):
    content = as_bytes(parser.example)
    numbers = numbers_of(parsed(parser, content))
    assert numbers
    assert [number for number in numbers if not is_derived(parser, number, content)] == []


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@given(choice=st.data())
def test_damaged_input_raises_nothing_else_and_adds_no_number(parser, choice):
    content = choice.draw(damaged(as_bytes(parser.example)))
    numbers = numbers_of(parsed(parser, content))
    assert all(map(is_finite, numbers))
    assert [number for number in numbers if not is_derived(parser, number, content)] == []


def test_an_invented_number_is_found():
    inventing = Parser("inventing", lambda _: {"power": 12.5}, "power 11")
    assert not is_derived(inventing, 12.5, b"power 11")
    assert is_derived(inventing, 11.0, b"power 11")
    summing = Parser("summing", None, "", sums=True)
    assert is_derived(summing, 7, b"cpu0 3 4 9")
    assert not is_derived(summing, 8, b"cpu0 3 4 9")


def test_parsers_have_different_names():
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)
