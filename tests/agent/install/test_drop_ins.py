"""The unit of the service opened for single families of sensors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.install import drop_ins
from agent.install import systemd as service
from agent.install.drop_ins import FOLDER, FamilyError, FamilyFiles, enabled, files_for, files_of
from agent.install.files import Action
from fake_systemd import PLACES, PROGRAM, Systemd, invoke
from probes.family import Family, ServiceNeeds
from probes.model import Kind
from probes.registry import families
from probes.settings import MeterConfig

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("workable")

NEEDS = ServiceNeeds(
    devices=("char-drm rw", "char-accel rw"),
    groups=("render", "video"),
    capabilities=("CAP_PERFMON",),
    system_calls=("perf_event_open",),
    paths=("/opt/vendor",),
    rules=('ACTION=="add|change", SUBSYSTEM=="accel", GROUP="inferometer", MODE="0660"',),
    tmpfiles=("z /sys/devices/system/cpu/energy 0440 root inferometer -",),
    risk="it allows more than reading",
)
CARD = Family("card", "Cards", (Kind.GPU,), "power", "driver", "1 s", service=NEEDS)
METER = Family("meter", "Meters", (Kind.HOST,), "power", "http", "1 s", meter_kinds=("plug", "bmc"), service=NEEDS)
UNIT, RULES, TMPFILES = drop_ins.places("card")
SYSTEMD_ANALYZE = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
CONFIG = """
[[meters]]
name = "bmc"
kind = "redfish"
url = "https://192.0.2.10"
user = "reader"
password_file = "/etc/inferometer/bmc.password"
"""


def meter(url: str, kind: str = "plug", name: str = "desk") -> MeterConfig:
    return MeterConfig(name=name, kind=kind, url=url)


def no_names(host: str) -> tuple[str, ...]:
    raise OSError(-2, f"no address of {host}")


def settings(files: FamilyFiles) -> list[str]:
    return [line for line in dict(files.files)[drop_ins.places(files.family)[0]].splitlines() if "=" in line]


def test_each_permission_is_one_line_of_the_drop_in_and_a_missing_group_is_left_out() -> None:
    files = files_of(CARD, (), frozenset({"render"}), no_names)
    assert settings(files) == [
        "DeviceAllow=char-drm rw",
        "DeviceAllow=char-accel rw",
        "SupplementaryGroups=render",
        "CapabilityBoundingSet=CAP_PERFMON",
        "AmbientCapabilities=CAP_PERFMON",
        "SystemCallFilter=perf_event_open",
        "BindReadOnlyPaths=-/opt/vendor",
    ]
    assert [place for place, _ in files.files] == [UNIT, RULES, TMPFILES]
    assert (files.subsystems, files.tmpfiles) == (("accel",), (f"/{TMPFILES}",))
    assert files.notes == ("card: it allows more than reading",)


def test_a_network_family_gets_exactly_the_addresses_of_its_own_meters() -> None:
    meters = [
        meter("http://192.0.2.7"),
        meter("https://[2001:db8::7]:8443/x", "bmc"),
        meter("http://[fe80::1%25eth0]"),
        meter("http://127.0.0.1:8000"),
        meter("http://192.0.2.99", "other"),
    ]
    files = files_of(METER, meters, frozenset(), no_names)
    assert settings(files) == ["IPAddressAllow=192.0.2.7", "IPAddressAllow=2001:db8::7", "IPAddressAllow=fe80::1"]
    assert files.notes == ()


def test_a_local_meter_gets_the_device_and_no_address() -> None:
    files = files_of(METER, [meter("local", "bmc")], frozenset(), no_names)
    assert settings(files)[0] == "DeviceAllow=char-drm rw"
    assert not any("IPAddressAllow" in line for line in settings(files))


def test_the_addresses_of_a_name_are_those_of_the_installation_with_a_note() -> None:
    files = files_of(METER, [meter("http://plug.example.org")], frozenset(), lambda _: ("192.0.2.8", "2001:db8::8"))
    text = dict(files.files)[drop_ins.places("meter")[0]]
    assert "# plug.example.org\nIPAddressAllow=192.0.2.8\nIPAddressAllow=2001:db8::8\n" in text
    (note,) = files.notes
    assert "plug.example.org is 192.0.2.8, 2001:db8::8 now" in note


def test_a_name_without_an_address_is_an_error_with_the_remedy() -> None:
    with pytest.raises(FamilyError, match=r"plug\.example\.org of the meter desk has no address.*/etc/hosts"):
        files_of(METER, [meter("http://plug.example.org")], frozenset(), no_names)


def test_a_network_family_without_a_configured_meter_is_an_error() -> None:
    with pytest.raises(FamilyError, match="no meter of kind plug or bmc is configured"):
        files_of(METER, [meter("http://192.0.2.7", "other")], frozenset(), no_names)


def test_an_unknown_family_and_one_that_needs_nothing_are_errors_that_list_the_others(tmp_path: Path) -> None:
    for name in ("nonsense", "memory", "../etc"):
        with pytest.raises(FamilyError, match=r"cannot be enabled; these families need it: .*ipmi.*redfish.*, or none"):
            files_for(tmp_path, tmp_path / "config.toml", [name])


def configured(root: Path, text: str = CONFIG) -> Path:
    config = root / service.CONFIG
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    return config


def names_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_install_enables_a_family_that_later_installations_leave_enabled(tmp_path: Path) -> None:
    configured(tmp_path)
    result = invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    assert result.exit_code == 0
    assert enabled(tmp_path) == ("redfish",)
    text = (tmp_path / FOLDER / "family-redfish.conf").read_text()
    assert text.splitlines()[1:] == ["[Service]", "IPAddressAllow=192.0.2.10"]
    invoke("install", "--root", str(tmp_path))
    assert enabled(tmp_path) == ("redfish",)
    state = json.loads(invoke("status", "--root", str(tmp_path), "--json").stdout)
    assert state["families"] == ["redfish"]
    assert {"path": f"{tmp_path}/{FOLDER}/family-redfish.conf", "status": "current"} in state["files"]
    assert re.search("^families +redfish$", invoke("status", "--root", str(tmp_path)).stdout, re.MULTILINE)


def test_none_closes_the_unit_again(tmp_path: Path) -> None:
    configured(
        tmp_path,
        CONFIG
        + CONFIG.replace('"bmc"', '"own"')
        .replace("redfish", "ipmi")
        .replace('"https://192.0.2.10"\nuser = "reader"\npassword_file = "/etc/inferometer/bmc.password"', '"local"'),
    )
    invoke("install", "--root", str(tmp_path), "--enable", "redfish", "--enable", "ipmi")
    assert enabled(tmp_path) == ("ipmi", "redfish")
    assert (tmp_path / "etc/udev/rules.d/61-inferometer-ipmi.rules").exists()
    invoke("install", "--root", str(tmp_path), "--enable", "none", "--enable", "redfish")
    assert enabled(tmp_path) == ("redfish",)
    assert not (tmp_path / "etc/udev/rules.d/61-inferometer-ipmi.rules").exists()
    invoke("install", "--root", str(tmp_path), "--enable", "none")
    assert names_in(tmp_path) == set(PLACES)


def test_an_image_gets_the_meters_of_its_own_host(tmp_path: Path) -> None:
    configured(
        tmp_path,
        CONFIG + 'host = "node1"\n' + CONFIG.replace('"bmc"', '"other"').replace(".10", ".12") + 'host = "node2"\n',
    )
    address = tmp_path / FOLDER / "family-redfish.conf"
    invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    assert "192.0.2.10\nIPAddressAllow=192.0.2.12" in address.read_text()
    (tmp_path / "etc/hostname").write_text("node2\n")
    invoke("install", "--root", str(tmp_path))
    assert address.read_text().splitlines()[2:] == ["IPAddressAllow=192.0.2.12"]


def test_a_changed_address_is_shown_by_status_and_written_by_the_next_installation(tmp_path: Path) -> None:
    configured(tmp_path)
    invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    configured(tmp_path, CONFIG.replace("192.0.2.10", "192.0.2.11"))
    assert f"changed   {tmp_path}/{FOLDER}/family-redfish.conf" in invoke("status", "--root", str(tmp_path)).stdout
    invoke("install", "--root", str(tmp_path))
    assert "IPAddressAllow=192.0.2.11" in (tmp_path / FOLDER / "family-redfish.conf").read_text()


def test_an_enabled_family_whose_meters_are_gone_is_closed_with_a_note(tmp_path: Path) -> None:
    configured(tmp_path)
    invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    configured(tmp_path, "")
    result = invoke("install", "--root", str(tmp_path))
    assert "redfish is no longer enabled: no meter of kind redfish is configured" in result.stderr
    assert enabled(tmp_path) == ()


def test_a_dry_run_shows_the_files_and_writes_nothing(tmp_path: Path) -> None:
    configured(tmp_path)
    result = invoke("install", "--root", str(tmp_path), "--enable", "redfish", "--dry-run")
    assert result.exit_code == 0
    assert f"# {tmp_path}/{FOLDER}/family-redfish.conf\n" in result.stdout
    assert "IPAddressAllow=192.0.2.10" in result.stdout
    document = json.loads(
        invoke("install", "--root", str(tmp_path), "--enable", "redfish", "--dry-run", "--json").stdout
    )
    assert [each["path"] for each in document["files"]] == [f"{tmp_path}/{FOLDER}/family-redfish.conf"]
    assert names_in(tmp_path) == {service.CONFIG}


def test_an_error_of_a_family_writes_nothing(tmp_path: Path) -> None:
    result = invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    assert result.exit_code == 1
    assert "--enable: redfish: no meter of kind redfish is configured" in result.stderr
    assert names_in(tmp_path) == set()


def test_uninstall_removes_the_files_of_families_and_leaves_other_drop_ins(tmp_path: Path) -> None:
    configured(tmp_path)
    invoke("install", "--root", str(tmp_path), "--enable", "redfish")
    (tmp_path / FOLDER / "override.conf").write_text("[Service]\n")
    invoke("uninstall", "--root", str(tmp_path), "--purge")
    assert names_in(tmp_path) == {f"{FOLDER}/override.conf"}


def test_activation_applies_the_rules_and_permissions_of_families() -> None:
    systemd = Systemd()
    files = files_of(CARD, (), frozenset(), no_names)
    service.activate(start=True, families=(files,), run=systemd)
    assert f"systemd-tmpfiles --create /etc/tmpfiles.d/inferometer.conf /{TMPFILES}" in systemd.asked
    assert any(command.endswith("--subsystem-match=hwmon --subsystem-match=accel") for command in systemd.asked)


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    files = files_of(CARD, (), frozenset(), no_names)
    service.write_files(tmp_path, PROGRAM, (files,))
    assert {each.outcome for each in service.write_files(tmp_path, PROGRAM, (files,))} == {Action.UNCHANGED}


def of_every_family() -> list[FamilyFiles]:
    """Return the files of every family that needs any, as if a meter of each kind were configured."""
    found = []
    for family in (each for each in families() if each.needs_unit):
        meters = [meter("http://192.0.2.7", kind) for kind in family.meter_kinds]
        meters += [meter("local", kind) for kind in family.meter_kinds if kind == "ipmi"]
        found.append(files_of(family, meters, frozenset({"render", "video"}), no_names))
    return found


@SYSTEMD_ANALYZE
@pytest.mark.parametrize("files", of_every_family(), ids=lambda each: each.family)
def test_systemd_finds_no_fault_in_the_drop_in_and_the_unit_stays_closed(tmp_path: Path, files: FamilyFiles) -> None:
    program = tmp_path / "opt/inferometerd"
    program.parent.mkdir()
    for each in (program, program.with_name("inferometer")):
        each.write_text("#!/bin/sh\n")
        each.chmod(0o755)
    service.write_files(tmp_path, program, (files,))
    unit = tmp_path / PLACES[0]
    verify = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "inferometer" in line]) == (0, [])
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", unit]
    done = subprocess.run(security, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_rules_of_families_have_known_keys() -> None:
    term = re.compile(r'(ACTION|SUBSYSTEM|KERNEL|DRIVERS|ATTR\{[a-z_/]+\}|TEST)=="[^"]+"|(GROUP|MODE)="[^"]+"')
    for family in families():
        for line in family.service.rules:
            assert all(term.fullmatch(each) for each in line.split(", "))
            assert line.startswith('ACTION=="add|change", SUBSYSTEM=="')
        for line in family.service.tmpfiles:
            assert re.fullmatch(r"z /sys/[^ ]+ 0[0-7]{3} root inferometer -", line)
