"""The settings of [[meters]]: each kind with its keys, the refusals, and the meters of this host."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import ConfigError, load, override
from agent.config.meter_kinds import COMMON, KINDS
from agent.config.meters import METERS, MOST_METERS, meters_of_host
from agent.config.resolve import SharedOptions, effective_config
from agent.config.sample import sample_file, to_tables
from agent.render.config_text import config_text, document
from probes.modbus.registers import PRESETS as MODBUS_PRESETS
from probes.mqtt.messages import PRESETS as MQTT_PRESETS
from probes.settings import MeterConfig

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY = '[[meters]]\nname = "desk"\nkind = "shelly"\nurl = "http://192.0.2.7"\n'
PAGE = (Path(__file__).parents[3] / "docs/meters.md").read_text(encoding="utf-8")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def entry(kind: str, url: str, **keys: str) -> str:
    return "".join(
        [
            "[[meters]]\n",
            *(f'{key} = "{value}"\n' for key, value in {"name": "m", "kind": kind, "url": url, **keys}.items()),
        ]
    )


def test_a_meter_feeds_the_host_that_reads_the_file(written) -> None:
    (meter,) = load(written(ENTRY)).meters
    assert meter == MeterConfig("desk", "shelly", "http://192.0.2.7", feeds="host")


def test_every_key_is_in_the_record() -> None:
    assert [setting.name for setting in METERS.settings] == [each.name for each in fields(MeterConfig)]
    assert set(COMMON) < {setting.name for setting in METERS.settings}
    for kind in KINDS.values():
        assert set(kind.uses) <= {setting.name for setting in METERS.settings} - set(COMMON)


@pytest.mark.parametrize(
    ("kind", "url", "keys"),
    [
        ("shelly", "https://plug.example.org/desk", {"fingerprint": "AB:" * 31 + "AB", "part": "switch:0"}),
        ("tasmota", "http://[2001:db8::7]:8080", {"password_file": "/p"}),
        ("mqtt", "mqtts://broker:8883", {"topic": "tele/desk/SENSOR", "preset": "tasmota", "ca_file": "/ca"}),
        ("mqtt", "mqtt://broker", {"topic": "home/desk", "power": "$", "user": "me", "password_file": "/p"}),
        ("redfish", "https://bmc", {"user": "me", "password_file": "/p", "part": "Self"}),
        ("redfish", "https://169.254.1.1", {}),
        ("ipmi", "local", {}),
        ("ipmi", "ipmi://bmc:623", {"user": "me", "password_file": "/p"}),
        ("apc", "snmp://pdu", {"password_file": "/p", "part": "3"}),
        ("raritan", "snmp://pdu:1161", {"password_file": "/p", "user": "me", "snmp_auth": "sha256"}),
        ("modbus", "modbus://192.0.2.7", {"preset": "eastron-sdm120", "part": "2"}),
        ("modbus", "modbus+rtu://192.0.2.7:8899", {"power": "input:12:float32", "energy_unit": "Wh"}),
        ("hailo", "", {}),
        ("scpi", "scpi://192.0.2.7", {"power": ":MEAS:POW?", "energy": ":INT:ENER?", "energy_unit": "Wh"}),
    ],
)
def test_every_kind_is_accepted_with_its_keys(written, kind: str, url: str, keys: dict[str, str]) -> None:
    (meter,) = load(written(entry(kind, url, **keys))).meters
    assert (meter.kind, meter.url) == (kind, url)
    assert {key: getattr(meter, key) for key in keys if key != "fingerprint"} == {
        key: value for key, value in keys.items() if key != "fingerprint"
    }
    assert meter.fingerprint == ("ab" * 32 if "fingerprint" in keys else "")


def test_a_date_may_be_a_date_of_toml_or_a_text(written) -> None:
    for text in ("2026-01-31", '"2026-01-31"'):
        (meter,) = load(written(f"{ENTRY}calibration_date = {text}\n")).meters
        assert meter.calibration_date == "2026-01-31"


def test_options_do_not_lose_the_meters(written) -> None:
    config = load(written(ENTRY))
    assert override(config, log_level="debug").meters == config.meters


def test_the_effective_configuration_shows_each_meter_with_its_source(written) -> None:
    path = written(ENTRY + 'password_file = "/p"\ncalibration_date = 2026-01-31\n' + ENTRY.replace("desk", "rack"))
    shown = document(effective_config(SharedOptions(path)), None)
    first, second = shown["config"]["meters"]
    assert first == {
        "name": "desk",
        "kind": "shelly",
        "url": "http://192.0.2.7",
        "password_file": "/p",
        "calibration_date": "2026-01-31",
    }
    assert second["name"] == "rack"
    assert 'meters[2].name = "rack"' in config_text(shown)
    assert shown["sources"]["meters[1].password_file"] == str(path)
    assert "meters" not in to_tables(load(written("")))


def test_the_sample_file_shows_a_meter_in_comments(written) -> None:
    text = sample_file()
    assert load(written(text)).meters == ()
    shown = text[text.index("# [[meters]]") : text.index("# [[serving]]")]
    lines = [line.removeprefix("# ") for line in shown.splitlines()]
    chosen = [line for line in lines if line.startswith(("[[meters]]", "name = ", "url = ", "kind = "))]
    (meter,) = load(written("\n".join(chosen))).meters
    assert (meter.name, meter.kind) == ("desk", "shelly")


def test_the_meters_of_other_hosts_are_left_out() -> None:
    def meter(host: str) -> MeterConfig:
        return MeterConfig(host or "any", "shelly", "http://a", host)

    meters = tuple(map(meter, ("", "node1", "node2", "node1.example.org", "node1.example.com")))
    shown = {name: [each.name for each in meters_of_host(meters, name)] for name in ("node1", "NODE1.example.org")}
    assert shown == {
        "node1": ["any", "node1", "node1.example.org", "node1.example.com"],
        "NODE1.example.org": ["any", "node1", "node1.example.org"],
    }


def test_discovery_receives_the_meters_of_this_host(written) -> None:
    config = load(written(ENTRY + ENTRY.replace("desk", "other") + 'host = "no-such-host"\n'))
    assert [meter.name for meter in config.meters] == ["desk", "other"]
    assert [meter.name for meter in config.sensors.meters] == ["desk"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "desk"', ""), r"meters\[1\]\.name is missing; add name"),
        (('name = "desk"', 'name = "a/b"'), r"meters\[1\]\.name = 'a/b' is not a name of 1 to 64"),
        (("shelly", "kasa"), r"meters\[1\]\.kind = 'kasa' is not one of shelly, tasmota"),
        (('kind = "shelly"', ""), r"meters\[1\]\.kind is missing"),
        (('url = "http://192.0.2.7"', ""), r"meters\[1\]\.url is missing"),
        (("http://", "ftp://"), r"meters\[1\]\.url = .* is not a URL of kind shelly, such as http://192.0.2.7"),
        (("http://", "http://user:secret@"), r"meters\[1\]\.url = .* is not a URL of kind"),
        (("192.0.2.7", "192.0.2.7:99999"), r"meters\[1\]\.url = .* has no valid host and port"),
        (("192.0.2.7", "192.0.2.7:0"), r"meters\[1\]\.url = .* has no valid host and port"),
        (("192.0.2.7", "169.254.169.254"), r"meters\[1\]\.url = .*: it is a link-local address"),
        (("192.0.2.7", "a b"), r"meters\[1\]\.url = .* is not a URL"),
        (('kind = "shelly"', 'kind = "shelly"\nfeeds = "room"'), r"meters\[1\]\.feeds = 'room' is not one of host"),
        (('kind = "shelly"', 'kind = "shelly"\ntopic = "a"'), r"topic has no effect on a meter of kind shelly"),
        (('kind = "shelly"', 'kind = "shelly"\nca_file = "a"'), r"ca_file has no effect without TLS"),
        (('kind = "shelly"', 'kind = "shelly"\nfingerprint = "a"'), r"fingerprint = 'a' is not a SHA-256"),
        (('kind = "shelly"', 'kind = "shelly"\nuser = "a"'), r"user needs password_file"),
        (('kind = "shelly"', 'kind = "shelly"\nrefresh_seconds = 0'), r"refresh_seconds = 0 is not a number of sec"),
        (('kind = "shelly"', 'kind = "shelly"\ncalibration_date = "May"'), r"calibration_date = 'May' is not a date"),
        (('kind = "shelly"', 'kind = "shelly"\nmodel = "a\\u001b"'), r"model = .* is not a printable text"),
        (('kind = "shelly"', 'kind = "shelly"\nhost = "a b"'), r"host = 'a b' is not the name of a host"),
        (('kind = "shelly"', 'kind = "shelly"\nkey = "a"'), r"unknown key 'meters.key'"),
        (("[[meters]]", "[meters]"), r"meters = .* is not a list of tables, \[\[meters\]\]"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_number_and_field(written, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(ENTRY.replace(*change)))


@pytest.mark.parametrize(
    ("kind", "url", "keys", "message"),
    [
        ("shelly", "https://a", {"ca_file": "/a", "fingerprint": "a" * 64}, "exclude each other"),
        ("mqtt", "mqtt://a", {"preset": "tasmota"}, "topic is missing, which a meter of kind mqtt needs"),
        ("mqtt", "mqtt://a", {"topic": "tele/#", "preset": "tasmota"}, "has a wildcard"),
        ("mqtt", "mqtt://a", {"topic": "t", "preset": "x"}, "preset = 'x' is not one of tasmota, zigbee2mqtt"),
        ("mqtt", "mqtt://a", {"topic": "t"}, "has no value; set preset, power or energy"),
        ("mqtt", "mqtt://a", {"topic": "t", "power": "a b"}, "power = 'a b' is not a path"),
        ("redfish", "http://192.0.2.7", {}, "would show the password to the network"),
        ("redfish", "https://169.254.169.254", {}, "it is a link-local address"),
        ("ipmi", "http://bmc", {}, "is not a URL of kind ipmi"),
        ("apc", "snmp://pdu", {}, "password_file is missing"),
        ("apc", "snmp://pdu", {"password_file": "/p", "snmp_auth": "sha"}, "snmp_auth has no effect without user"),
        ("modbus", "modbus://a", {"preset": "tasmota"}, "is not one of eastron-sdm120"),
        ("modbus", "modbus://a", {"power": "input:70000:float32"}, "is not a register"),
        ("scpi", "scpi://a", {}, "power is missing"),
        ("hailo", "http://a", {}, "is not a URL of kind hailo, such as none at all"),
        ("scpi", "scpi://a", {"power": ":OUTP ON"}, "is not one query"),
        ("scpi", "scpi://a", {"power": ":MEAS?;:OUTP ON"}, "is not one query"),
    ],
)
def test_a_kind_refuses_what_it_cannot_use(written, kind: str, url: str, keys: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(entry(kind, url, **keys)))


def test_two_meters_with_one_name_are_refused(written) -> None:
    with pytest.raises(ConfigError, match="meters: 2 entries have the name 'desk'"):
        load(written(ENTRY * 2))


def test_too_many_meters_are_refused(written) -> None:
    with pytest.raises(ConfigError, match=rf"{MOST_METERS + 1} meters below .* are more than {MOST_METERS}"):
        load(written("".join(ENTRY.replace("desk", f"m{n}") for n in range(MOST_METERS + 1))))


def test_the_page_has_every_kind_and_preset() -> None:
    kinds = set(re.findall(r'^kind = "([a-z]+)"', PAGE, re.MULTILINE))
    assert kinds == KINDS.keys()
    for preset in (*MQTT_PRESETS, *MODBUS_PRESETS):
        assert f"`{preset}`" in PAGE
        assert preset in next(setting.more for setting in METERS.settings if setting.name == "preset")


def test_the_entries_of_the_page_are_valid(written) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= len(KINDS)
    for block in blocks:
        assert load(written(block)).meters
