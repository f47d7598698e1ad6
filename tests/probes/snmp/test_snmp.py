"""PDUs through a real snmpd that answers as the MIBs of APC and Raritan state, over SNMP 2c and SNMPv3."""

from __future__ import annotations

import pytest

from meters import SECOND, found, meter, only_probe, secret_file, values_of
from probes.errors import ReadError
from probes.snmp import discover
from probes.snmp.pdus import apc_objects, names_of, parse_values, raritan_objects
from snmpd_server import COMMUNITY, PASSPHRASE, USER, agent, needs_snmpd
from waiting import await_true

APC = "1.3.6.1.4.1.318.1.1.26"
RARITAN = "1.3.6.1.4.1.13742.6"
APC_UNIT = {f"{APC}.4.3.1.5.1": 123, f"{APC}.4.3.1.9.1": 4567}
APC_OUTLET = {f"{APC}.9.4.3.1.7.3": 217, f"{APC}.9.4.3.1.11.3": 89}
RARITAN_INLET = {
    f"{RARITAN}.5.2.3.1.4.1.1.5": 12345,
    f"{RARITAN}.5.2.3.1.4.1.1.8": 67890,
    f"{RARITAN}.5.2.3.1.2.1.1.5": 1,
    f"{RARITAN}.5.2.3.1.2.1.1.8": 1,
    f"{RARITAN}.3.3.4.1.7.1.1.5": 1,
    f"{RARITAN}.3.3.4.1.7.1.1.8": 0,
}
RARITAN_OUTLET = {
    f"{RARITAN}.5.4.3.1.4.1.7.5": 217,
    f"{RARITAN}.5.4.3.1.4.1.7.8": 456,
    f"{RARITAN}.5.4.3.1.2.1.7.5": 1,
    f"{RARITAN}.5.4.3.1.2.1.7.8": 1,
    f"{RARITAN}.3.5.4.1.7.1.7.5": 0,
    f"{RARITAN}.3.5.4.1.7.1.7.8": 2,
}
pytestmark = needs_snmpd


@pytest.fixture
def pdu(tmp_path):
    with agent(tmp_path) as running:
        yield running


def community(tmp_path) -> str:
    return secret_file(tmp_path, f"{COMMUNITY}\n")


@pytest.mark.parametrize(
    ("kind", "part", "objects", "watts", "joules"),
    [
        ("apc", "", APC_UNIT, 1230.0, 456.7 * 3.6e6),
        ("apc", "3", APC_OUTLET, 217.0, 8.9 * 3.6e6),
        ("raritan", "", RARITAN_INLET, 1234.5, 67_890 * 3600.0),
        ("raritan", "7", RARITAN_OUTLET, 217.0, 4.56 * 3600.0),
    ],
)
def test_a_pdu_and_its_outlets_are_read_in_the_units_of_the_mib(
    pdu, tmp_path, kind, part, objects, watts, joules
) -> None:
    pdu.objects(objects)
    probe = only_probe(found(discover, meter(kind, pdu.url, part=part, password_file=community(tmp_path))))
    shown = values_of(probe, 10 * SECOND)
    assert shown == {"power_watts": pytest.approx(watts), "energy_joules": pytest.approx(joules)}
    assert dict(probe.channels[0].device.attributes)["model"] == "Rack PDU of the test"
    probe.close()


def test_the_step_of_a_count_is_that_of_its_unit(pdu, tmp_path) -> None:
    pdu.objects({**APC_UNIT, **RARITAN_INLET})
    for kind, joules, watts in (("apc", 360_000.0, 10.0), ("raritan", 3600.0, 0.1)):
        probe = only_probe(found(discover, meter(kind, pdu.url, password_file=community(tmp_path))))
        assert [channel.resolution for channel in probe.channels] == [joules, pytest.approx(watts)]
        probe.close()


@pytest.mark.parametrize(("suffix", "auth"), [("", ""), ("256", "sha256"), ("512", "sha512")])
def test_a_pdu_is_read_by_snmp_v3(pdu, tmp_path, suffix: str, auth: str) -> None:
    pdu.objects(APC_UNIT)
    keys = {"user": USER + suffix, "snmp_auth": auth, "password_file": secret_file(tmp_path, PASSPHRASE)}
    result = found(discover, meter("apc", pdu.url, **keys))
    probe = only_probe(result)
    assert not result.problems
    assert values_of(probe, 10 * SECOND)["power_watts"] == 1230.0
    probe.close()


@pytest.mark.parametrize("keys", [{"user": USER}, {"user": "nobody"}, {}])
def test_a_wrong_secret_is_a_problem(pdu, tmp_path, keys) -> None:
    pdu.objects(APC_UNIT)
    keys = {**keys, "password_file": secret_file(tmp_path, "a wrong passphrase")}
    (problem,) = [each for each in found(discover, meter("apc", pdu.url, **keys)).problems if each.is_unreadable]
    assert problem.sensor.startswith("meter-desk (")
    assert problem.reason


def test_an_outlet_without_a_meter_is_a_problem(pdu, tmp_path) -> None:
    pdu.objects({**APC_UNIT, f"{APC}.9.4.3.1.7.3": -1, f"{APC}.9.4.3.1.11.3": -1})
    for part, reason in (
        ("3", "no power of outlet 3"),
        ("4", "no power of outlet 4"),
        ("x", "not the number of an outlet"),
    ):
        result = found(discover, meter("apc", pdu.url, part=part, password_file=community(tmp_path)))
        assert reason in result.problems[0].reason


def test_a_pdu_that_returns_is_read_again(pdu, tmp_path) -> None:
    pdu.objects(APC_UNIT)
    probe = only_probe(found(discover, meter("apc", pdu.url, password_file=community(tmp_path))))
    pdu.freeze()
    with pytest.raises(ReadError):
        probe.read(10 * SECOND)
    pdu.thaw()

    def is_read(at=[20 * SECOND]) -> bool:  # noqa: B006  the time goes on over all calls
        at[0] += 10 * SECOND
        try:
            return values_of(probe, at[0]).get("power_watts") == 1230.0
        except ReadError:
            return False

    await_true(is_read, 60)
    probe.close()


def test_values_that_a_pdu_does_not_measure_are_missing() -> None:
    apc = apc_objects("")
    assert parse_values(apc, [-1, 10]) == (None, 3.6e6)
    assert parse_values(apc, [None, "text"]) == (None, None)
    raritan = raritan_objects("", lambda _: [None, 99])
    assert len(names_of(raritan)) == 4
    assert parse_values(raritan, [5, 6, 2, 1]) == (None, 6 * 3600.0)
