"""The power of a host from its BMC, discovered and read over TLS."""

import json
import math
import re
from dataclasses import replace

import pytest

from agent.energy.counted_sensors import best_channels
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Roots, TimedProbe
from probes.redfish import discover
from probes.redfish.probe import REFUSED_SECONDS
from probes.settings import SensorSettings
from redfish_server import ROOT, SESSIONS, Bmc, captured, chassis, link, mockup, service

SECOND = 1_000_000_000
METRICS = f"{ROOT}/Chassis/1U/EnvironmentMetrics"


def found(bmc, tmp_path, exclude=(), **keys):
    return discover(Roots(), SensorSettings(exclude=exclude, meters=(bmc.meter(tmp_path, **keys),)))


def probe_of(bmc, tmp_path, **keys):
    result = found(bmc, tmp_path, **keys)
    assert not result.problems
    (probe,) = result.probes
    return probe


@pytest.fixture
def bmc():
    with Bmc(mockup("dmtf")) as server:
        yield server


def test_without_a_configured_bmc_the_family_is_absent():
    with pytest.raises(ProbeUnavailableError, match="no meter of kind redfish is configured"):
        discover(Roots(), SensorSettings())


def test_the_power_of_the_mockup_is_that_of_its_environment(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    (channel,) = probe.channels
    assert (channel.device.id, channel.device.kind, channel.domain) == ("meter-bmc", Kind.BOARD, "wall")
    assert dict(channel.device.attributes)["model"] == "Contoso 3500RX"
    assert dict(channel.device.attributes)["serial"] == "437XR1138R2"
    assert channel.max_plausible == 4 * 1000
    assert isinstance(probe, TimedProbe)
    assert probe.read(SECOND) == [374]
    before_ns, after_ns = probe.taken_ns
    assert before_ns < after_ns
    probe.close()
    assert not bmc.sessions


@pytest.mark.parametrize(
    ("vendor", "path", "watts", "model"),
    [
        ("dell", f"{ROOT}/Chassis/System.Embedded.1", 429, "Dell Inc. PowerEdge R640"),
        ("hpe", f"{ROOT}/Chassis/1", 221, "HP Proliant Gen10"),
    ],
)
def test_the_replies_of_vendors_have_a_power(tmp_path, vendor, path, watts, model):
    with Bmc(captured(vendor, path)) as bmc:
        probe = probe_of(bmc, tmp_path)
        assert probe.read(SECOND) == [watts]
        assert dict(probe.channels[0].device.attributes)["model"] == model
        probe.close()


def test_a_service_that_redirects_paths_without_a_slash_is_read_by_its_own_links(tmp_path):
    path = f"{ROOT}/Chassis/1"
    text = re.sub(r'("@odata.id": "[^"#]*[^"#/])"', r'\1/"', json.dumps(captured("hpe", path)))
    resources = json.loads(text)
    resources[ROOT] = {"Links": {"Sessions": link(f"{SESSIONS}/")}, "Chassis": link(f"{ROOT}/Chassis/")}
    with Bmc(resources) as bmc:
        bmc.wants_slashes = True
        probe = probe_of(bmc, tmp_path)
        assert probe.read(SECOND) == [221]
        probe.close()
        assert not bmc.sessions


def test_the_baseboard_of_the_gpus_is_inside_the_server_and_its_gpus_are_left_out(tmp_path):
    resources = service(
        chassis("HGX_Chassis_0", ChassisType="RackMount", Links={"Contains": [link(f"{ROOT}/Chassis/HGX_GPU_SXM_1")]}),
        chassis("HGX_GPU_SXM_1", ChassisType="Component", Links={"ContainedBy": link(f"{ROOT}/Chassis/HGX_Chassis_0")}),
        chassis("DGX", ChassisType="RackMount", Links={"ComputerSystems": [link(f"{ROOT}/Systems/DGX")]}),
        watts={"HGX_Chassis_0": 3000, "HGX_GPU_SXM_1": 400, "DGX": 5200},
    )
    with Bmc(resources) as bmc:
        probe = probe_of(bmc, tmp_path)
        assert [(each.domain, each.contained_in) for each in probe.channels] == [
            ("wall", ()),
            ("hgx_chassis_0", (("meter-bmc", "wall"),)),
        ]
        assert probe.read(SECOND) == [5200, 3000]
        probe.close()


def test_several_servers_need_a_choice_and_none_is_added(tmp_path):
    with Bmc(mockup("several")) as bmc:
        result = found(bmc, tmp_path)
        assert result.probes == ()
        assert "several servers (1U, 2U, 4U)" in result.problems[0].reason
        assert not bmc.sessions
        probe = probe_of(bmc, tmp_path, part="4U")
        assert probe.read(SECOND) == [750]
        probe.close()


def test_all_chassis_come_in_one_answer_if_the_service_can_expand(tmp_path):
    resources = mockup("dmtf")
    resources[ROOT]["ProtocolFeaturesSupported"] = {"ExpandQuery": {"NoLinks": True}}
    with Bmc(resources) as bmc:
        probe_of(bmc, tmp_path).close()
        assert ("GET", f"{ROOT}/Chassis?$expand=.($levels=1)") in bmc.requests
        assert ("GET", f"{ROOT}/Chassis/1U") not in bmc.requests


def test_a_coarse_counter_of_energy_has_its_step_and_the_power_counts(bmc, tmp_path):
    bmc.resources[METRICS]["EnergykWh"] = {"Reading": 100, "LifetimeReading": 325675.125}
    probe = probe_of(bmc, tmp_path)
    power, energy = probe.channels
    assert (energy.path, energy.metric, energy.resolution) == ("meter-bmc/wall", "energy_joules", pytest.approx(3600))
    assert best_channels(probe.channels) == (power,)
    _, first = probe.read(SECOND)
    bmc.resources[METRICS]["EnergykWh"]["LifetimeReading"] += 0.125
    _, second = probe.read(3 * SECOND)
    assert (first, second - first) == (pytest.approx(325675.125 * 3.6e6), pytest.approx(450_000, abs=0.01))
    probe.close()


def test_a_fine_counter_of_energy_counts_and_its_reset_is_rejected(bmc, tmp_path):
    bmc.resources[METRICS]["EnergyJoules"] = {"Reading": 1000.5}
    probe = probe_of(bmc, tmp_path)
    _, energy = probe.channels
    assert best_channels(probe.channels) == (energy,)
    probe.read(SECOND)
    bmc.resources[METRICS]["EnergyJoules"] = {"Reading": 4.0}
    assert math.isnan(probe.read(3 * SECOND)[1])
    assert probe.rejections[0].reason is Reason.RESET
    probe.close()


def test_a_reading_that_becomes_null_is_no_sample(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    bmc.resources[METRICS]["PowerWatts"]["Reading"] = None
    assert math.isnan(probe.read(SECOND)[0])
    bmc.resources[METRICS]["PowerWatts"]["Reading"] = 0xFFFFFFFF
    assert math.isnan(probe.read(3 * SECOND)[0])
    assert [each.reason for each in probe.rejections] == [Reason.SENTINEL]
    probe.close()


def test_the_source_stays_the_same_although_another_one_has_a_value(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    bmc.resources[METRICS]["PowerWatts"] = None
    assert math.isnan(probe.read(SECOND)[0])
    assert ("GET", f"{ROOT}/Chassis/1U/Power") not in bmc.requests
    probe.close()


def test_a_second_read_within_a_second_requests_nothing(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    probe.read(SECOND)
    before = len(bmc.requests)
    assert math.isnan(probe.read(SECOND + SECOND // 2)[0])
    assert probe.taken_ns is None
    assert len(bmc.requests) == before
    probe.close()


def test_a_slow_bmc_rests_three_times_as_long_as_it_answers(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    bmc.delays[METRICS] = 0.5
    assert probe.read(SECOND) == [374]
    assert math.isnan(probe.read(SECOND + 19 * SECOND // 10)[0])
    assert probe.taken_ns is None
    assert probe.read(60 * SECOND) == [374]
    probe.close()


def test_a_sensor_with_the_time_stamp_of_the_last_read_has_nothing_new(bmc, tmp_path):
    del bmc.resources[f"{ROOT}/Chassis/1U"]["EnvironmentMetrics"], bmc.resources[f"{ROOT}/Chassis/1U"]["Power"]
    sensors = bmc.resources[f"{ROOT}/Chassis/1U/Sensors"]
    sensors["Members"] = [link(f"{ROOT}/Chassis/1U/Sensors/TotalPower")]
    probe = probe_of(bmc, tmp_path)
    probe.read(SECOND)
    assert probe.taken_ns is None
    bmc.resources[f"{ROOT}/Chassis/1U/Sensors/TotalPower"] |= {"ReadingTime": "2019-08-13T04:14:34Z", "Reading": 380}
    assert probe.read(3 * SECOND) == [380]
    assert probe.taken_ns
    probe.close()


def test_a_lost_network_is_an_error_and_the_probe_reads_again_afterwards(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    bmc.statuses[METRICS] = 500
    with pytest.raises(ReadError, match="answers 500"):
        probe.read(SECOND)
    bmc.statuses.clear()
    assert probe.read(10 * SECOND) == [374]
    probe.close()


def test_a_refused_login_is_not_repeated_at_every_read(bmc, tmp_path):
    probe = probe_of(bmc, tmp_path)
    bmc.sessions.clear()
    bmc.room = 0
    with pytest.raises(ReadError):
        probe.read(SECOND)
    tried = bmc.requests.count(("POST", SESSIONS))
    probe.read(SECOND + round(0.9 * REFUSED_SECONDS) * SECOND)
    assert bmc.requests.count(("POST", SESSIONS)) == tried
    bmc.room = 8
    assert probe.read(SECOND + round(1.1 * REFUSED_SECONDS) * SECOND) == [374]
    probe.close()


def test_problems_name_the_cause_and_the_remedy(bmc, tmp_path):
    def problem(**keys):
        (only,) = found(bmc, tmp_path, **keys).problems
        assert not bmc.sessions
        return only

    assert "--enable redfish" not in problem(fingerprint="0" * 64).remedy
    assert "openssl x509 -noout -fingerprint -sha256" in problem(fingerprint="0" * 64).remedy
    (tmp_path / "wrong").write_text("guess\n")
    (tmp_path / "wrong").chmod(0o600)
    assert "check user and password_file" in problem(password_file=str(tmp_path / "wrong")).remedy
    (tmp_path / "wrong").chmod(0o644)
    assert "chmod" in problem(password_file=str(tmp_path / "wrong")).remedy
    bmc.room = 0
    assert "sessions of other programs" in problem().remedy
    bmc.room = 8
    bmc.resources[f"{ROOT}/Chassis/1U"] = {"@odata.id": f"{ROOT}/Chassis/1U", "Id": "1U"}
    assert "no value of power or energy" in problem().reason
    assert "curl" in problem(url="https://127.0.0.1:9").remedy


def test_an_excluded_meter_is_not_contacted(bmc, tmp_path):
    result = found(bmc, tmp_path, exclude=("redfish/meter-bmc",))
    assert (result.probes, result.problems, result.excluded) == ((), (), {"redfish/meter-bmc"})
    assert not bmc.requests


def test_an_excluded_domain_leaves_no_session(bmc, tmp_path):
    result = found(bmc, tmp_path, exclude=("meter-bmc/wall",))
    assert result.probes == ()
    assert result.excluded == {"meter-bmc/wall"}
    assert not bmc.sessions


def test_one_bmc_that_fails_does_not_cost_the_other(bmc, tmp_path):
    good = bmc.meter(tmp_path)
    result = discover(Roots(), SensorSettings(meters=(replace(good, name="gone", url="https://127.0.0.1:9"), good)))
    assert [probe.name for probe in result.probes] == ["redfish/meter-bmc"]
    assert [problem.sensor.partition(" ")[0] for problem in result.problems] == ["meter-gone"]
    result.probes[0].close()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff" * 100, json.dumps({"PowerWatts": [374]}).encode()])
def test_garbage_is_no_sample_and_no_fault(bmc, tmp_path, body):
    probe = probe_of(bmc, tmp_path)
    bmc.raw[METRICS] = body or b" "
    try:
        values = probe.read(SECOND)
    except ReadError:
        values = [math.nan]
    assert math.isnan(values[0])
    probe.close()
