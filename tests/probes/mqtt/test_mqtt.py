"""Meters behind a real mosquitto: messages, retained ones, logins, TLS, and a broker that goes and returns."""

from __future__ import annotations

import json

import pytest

from meters import SECOND, found, meter, only_probe, secret_file, values_of
from mosquitto_broker import TLS, broker, needs_mosquitto
from plug_server import FINGERPRINT, tasmota_status
from probes.errors import ProbeUnavailableError, ReadError
from probes.mqtt import discover
from waiting import await_true

TOPIC = "tele/desk/SENSOR"
TASMOTA = json.dumps(tasmota_status()["StatusSNS"])
pytestmark = needs_mosquitto


def plug(url: str, **keys: object):
    return meter("mqtt", url, **{"topic": TOPIC, "preset": "tasmota", **keys})


def next_values(probe, at_ns: int = SECOND) -> dict[str, float]:
    """Read until a message has arrived."""
    shown: dict[str, float] = {}

    def arrived() -> bool:
        nonlocal at_ns
        at_ns += SECOND
        shown.update(values_of(probe, at_ns))
        return probe.taken_ns is not None

    await_true(arrived)
    return shown


def test_a_message_is_one_sample_taken_at_its_arrival(tmp_path) -> None:
    with broker(tmp_path) as running:
        probe = only_probe(found(discover, plug(running.url)))
        assert values_of(probe, SECOND) == {}
        assert probe.taken_ns is None
        running.publish(TOPIC, TASMOTA)
        assert next_values(probe) == {"power_watts": 38.0, "energy_joules": pytest.approx(3.185 * 3.6e6)}
        assert values_of(probe, 100 * SECOND) == {}
        assert probe.taken_ns is None
        probe.close()


def test_a_retained_message_is_no_sample(tmp_path) -> None:
    with broker(tmp_path) as running:
        running.publish(TOPIC, TASMOTA.replace("38", "99"), retain=True)
        probe = only_probe(found(discover, plug(running.url)))
        running.publish(TOPIC, TASMOTA)
        assert next_values(probe)["power_watts"] == 38.0
        probe.close()


def test_a_broker_that_returns_is_used_again(tmp_path) -> None:
    with broker(tmp_path) as running:
        probe = only_probe(found(discover, plug(running.url)))
        running.stop()
        await_true(lambda: _fails(probe))
        running.start()
        await_true(lambda: not _fails(probe), 60)
        running.publish(TOPIC, TASMOTA)
        assert next_values(probe, 1000 * SECOND)["power_watts"] == 38.0
        probe.close()


def _fails(probe, at=[10 * SECOND]) -> bool:  # noqa: B006  the time goes on over all calls
    at[0] += SECOND
    try:
        probe.read(at[0])
    except ReadError as error:
        return "broker" in str(error)
    return False


def test_the_broker_lets_in_with_a_password_only(tmp_path) -> None:
    with broker(tmp_path, login=True) as running:
        keys = {"user": "meter", "password_file": secret_file(tmp_path)}
        probe = only_probe(found(discover, plug(running.url, **keys)))
        running.publish(TOPIC, TASMOTA, login=True)
        assert next_values(probe)["power_watts"] == 38.0
        probe.close()
        keys["password_file"] = secret_file(tmp_path, "wrong")
        (problem,) = found(discover, plug(running.url, **keys)).problems
        assert "the broker refuses the connection" in problem.reason
        assert "password_file" in problem.remedy


def test_the_certificate_of_the_broker_is_verified(tmp_path) -> None:
    with broker(tmp_path, tls=True) as running:
        for keys in ({"ca_file": str(TLS / "cert.pem")}, {"fingerprint": FINGERPRINT}):
            probe = only_probe(found(discover, plug(running.url, **keys)))
            running.publish(TOPIC, TASMOTA)
            assert next_values(probe)["power_watts"] == 38.0
            probe.close()
        for keys in ({}, {"fingerprint": "0" * 64}):
            (problem,) = found(discover, plug(running.url, **keys)).problems
            assert "certificate" in problem.reason


@pytest.mark.parametrize("message", ["", "unavailable", "[]", "{}", '{"ENERGY": null}', b"\xff\x00", '{"a":' * 90_000])
def test_a_message_without_values_is_no_sample(tmp_path, message: str | bytes) -> None:
    with broker(tmp_path) as running:
        probe = only_probe(found(discover, plug(running.url)))
        running.publish(TOPIC, message)

        def is_refused(at=[0]) -> bool:  # noqa: B006  the time goes on over all calls
            at[0] += SECOND
            try:
                assert values_of(probe, at[0]) == {}
            except ReadError as error:
                return "has no number at the configured place" in str(error)
            return False

        await_true(is_refused)
        probe.close()


def test_a_message_larger_than_the_limit_ends_the_connection(tmp_path) -> None:
    with broker(tmp_path) as running:
        probe = only_probe(found(discover, plug(running.url)))
        running.publish(TOPIC, b"x" * (2 << 20))
        await_true(lambda: _fails(probe))
        probe.close()


def test_power_and_energy_can_be_the_number_alone(tmp_path) -> None:
    with broker(tmp_path) as running:
        probe = only_probe(found(discover, plug(running.url, preset="", power="$")))
        assert [channel.metric for channel in probe.channels] == ["power_watts"]
        running.publish(TOPIC, "38.4")
        assert next_values(probe) == {"power_watts": 38.4}
        probe.close()


def test_the_variable_mqtt_proxy_has_no_effect(monkeypatch) -> None:
    from probes.mqtt.client import BoundedClient

    monkeypatch.setenv("mqtt_proxy", "http://127.0.0.1:9")
    assert BoundedClient._get_proxy(object()) is None


def test_no_broker_is_a_problem_with_its_remedy() -> None:
    (problem,) = found(discover, plug("mqtt://127.0.0.1:9")).problems
    assert "refused" in problem.reason
    assert "Errno" not in problem.reason
    assert "address" in problem.remedy


def test_without_the_library_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "probes.mqtt.subscription", None)
    (problem,) = found(discover, plug("mqtt://127.0.0.1:9")).problems
    assert problem.remedy == "pip install 'inferometer[meters]' in the environment of this program"
    with pytest.raises(ProbeUnavailableError, match="no meter of kind mqtt"):
        found(discover)
