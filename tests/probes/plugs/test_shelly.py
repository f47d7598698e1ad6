"""Shelly plugs of all generations: documented answers, logins, and faults of a real HTTP server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meters import SECOND, found, meter, only_probe, secret_file, values_of
from plug_server import FINGERPRINT, SHELLY_1, SHELLY_2, TLS, first_status, later_status, plug
from probes.errors import ReadError
from probes.plugs import discover
from probes.plugs.shelly import parse_first, parse_identity, parse_later, parse_part

FIRST = {"/shelly": SHELLY_1, "/status": first_status()}
LATER = {"/shelly": SHELLY_2, "/rpc/Shelly.GetStatus": later_status()}


def test_the_first_generation_counts_watt_minutes() -> None:
    with plug(FIRST) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        assert values_of(probe, SECOND) == {"power_watts": 38.4, "energy_joules": 60_000 * 60.0}
        probe.close()


def test_later_generations_count_watt_hours() -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        assert values_of(probe, SECOND) == {"power_watts": 38.4, "energy_joules": 1000.125 * 3600}
        probe.close()


def test_the_device_has_the_model_serial_and_firmware_that_the_plug_reports() -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        (device,) = {channel.device for channel in probe.channels}
        assert (device.id, device.kind, probe.name) == ("meter-desk", "host", "plugs/meter-desk")
        assert dict(device.attributes) == {
            "meter": "shelly",
            "model": "SNPL-00112EU",
            "serial": "A8032ABE54DC",
            "firmware": "1.3.3",
        }
        probe.close()


def test_the_configured_description_precedes_the_reported_one() -> None:
    keys = {"model": "Plus Plug S", "accuracy_class": "1 %", "range": "12 A", "calibration_date": "2026-01-31"}
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url, **keys)))
        attributes = dict(probe.channels[0].device.attributes)
        assert {key: attributes[key] for key in keys} == keys
        assert attributes["serial"] == "A8032ABE54DC"
        probe.close()


def test_a_plug_is_asked_once_for_each_second() -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        before = len(state.requests)
        assert [bool(values_of(probe, round(at * SECOND))) for at in (1, 1.2, 1.8, 2, 2.5)] == [
            True,
            False,
            False,
            True,
            False,
        ]
        assert len(state.requests) - before == 2
        assert state.connections == 1
        probe.close()


def test_a_reading_was_taken_between_the_request_and_the_answer() -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        state.delay = 0.05
        probe.read(SECOND)
        start_ns, end_ns = probe.taken_ns
        assert end_ns - start_ns >= 0.05 * SECOND
        probe.read(SECOND + 1)
        assert probe.taken_ns is None
        probe.close()


@pytest.mark.parametrize("login", ["basic", "digest"])
@pytest.mark.parametrize("answers", [FIRST, LATER], ids=["first", "later"])
def test_a_plug_with_a_password_is_read(tmp_path, login: str, answers) -> None:
    with plug(answers, login=login) as state:
        probe = only_probe(found(discover, meter("shelly", state.url, password_file=secret_file(tmp_path))))
        before = len(state.requests)
        assert values_of(probe, SECOND)["power_watts"] == 38.4
        assert values_of(probe, 2 * SECOND)["power_watts"] == 38.4
        assert len(state.requests) - before == 2, "the login is valid for several requests"
        probe.close()


def test_a_digest_continues_with_a_new_nonce(tmp_path) -> None:
    with plug(LATER, login="digest") as state:
        probe = only_probe(found(discover, meter("shelly", state.url, password_file=secret_file(tmp_path))))
        state.nonce = "another"
        assert values_of(probe, SECOND)["power_watts"] == 38.4
        assert not any("sesame" in login for _, login in state.requests)
        probe.close()


def test_a_wrong_password_is_a_problem_with_its_remedy(tmp_path) -> None:
    with plug(LATER, login="digest", password="other") as state:
        result = found(discover, meter("shelly", state.url, password_file=secret_file(tmp_path)))
        (problem,) = result.problems
        assert not result.probes
        assert problem.reason == f"{state.url} refuses this login"
        assert "password_file" in problem.remedy
        assert problem.sensor == f"meter-desk ({state.url})"


def test_a_password_that_others_may_read_is_not_sent(tmp_path) -> None:
    with plug(LATER, login="digest") as state:
        result = found(discover, meter("shelly", state.url, password_file=secret_file(tmp_path, mode=0o644)))
        assert "other users may read" in result.problems[0].reason
        assert state.requests == []


def test_a_certificate_is_verified_by_its_authority_or_by_its_fingerprint() -> None:
    with plug(LATER, tls=True) as state:
        for keys in ({"fingerprint": FINGERPRINT}, {"ca_file": str(TLS / "cert.pem")}):
            probe = only_probe(found(discover, meter("shelly", state.url, **keys)))
            assert values_of(probe, SECOND)["power_watts"] == 38.4
            probe.close()
        for keys in ({"fingerprint": "0" * 64}, {}):
            result = found(discover, meter("shelly", state.url, **keys))
            assert not result.probes
            assert "certificate" in result.problems[0].reason


def test_redirects_are_not_followed_and_proxy_variables_have_no_effect(monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with plug(LATER) as elsewhere, plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        state.status, state.location = 302, f"{elsewhere.url}/status"
        with pytest.raises(ReadError, match="answered with status 302"):
            probe.read(SECOND)
        assert elsewhere.requests == []
        probe.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "something other than JSON"),
        (b"<html>", "something other than JSON"),
        (b"\xff\xfe\x00", "something other than JSON"),
        (b"[1]", "JSON without an object"),
        (b'{"a":' * 50_000, "something other than JSON"),
        (b"x" * (2 << 20), "longer than"),
        (b'{"switch:0": {"apower": null, "aenergy": null}}', "reports neither power nor energy"),
        (b'{"switch:0": {"apower": "N/A", "aenergy": {"total": "-"}}}', "reports neither power nor energy"),
        (b'{"switch:0": {"apower": NaN, "aenergy": {"total": Infinity}}}', "reports neither power nor energy"),
    ],
)
def test_an_answer_without_values_is_no_sample(body: bytes, reason: str) -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        state.body = body
        with pytest.raises(ReadError, match=reason):
            probe.read(SECOND)
        state.body = None
        assert values_of(probe, 2 * SECOND)["power_watts"] == 38.4
        probe.close()


def test_a_meter_that_is_not_valid_is_no_sample() -> None:
    status = first_status()
    status["meters"][0]["is_valid"] = False
    assert parse_first(status, "", 0) == (None, None)


def test_a_plug_that_returns_is_read_again() -> None:
    with plug(LATER) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        state.status = 503
        with pytest.raises(ReadError, match="answered with status 503"):
            probe.read(SECOND)
        state.status = 200
        assert values_of(probe, 2 * SECOND)["power_watts"] == 38.4
        probe.close()


def test_the_count_of_a_plug_that_started_again_continues() -> None:
    answers = {**LATER}
    with plug(answers) as state:
        probe = only_probe(found(discover, meter("shelly", state.url)))
        first = values_of(probe, SECOND)["energy_joules"]
        answers["/rpc/Shelly.GetStatus"] = later_status(38.4, 0.0)
        assert "energy_joules" not in values_of(probe, 2 * SECOND)
        assert [rejection.reason for rejection in probe.rejections] == ["reset"]
        answers["/rpc/Shelly.GetStatus"] = later_status(38.4, 0.01)
        assert values_of(probe, 3 * SECOND)["energy_joules"] == pytest.approx(first + 36)
        probe.close()


def test_a_component_is_chosen_by_part() -> None:
    status = {
        **later_status(),
        "switch:1": {"apower": 5.0, "aenergy": {"total": 2.0}},
        "em:0": {"total_act_power": 7.0},
    }
    status["emdata:0"] = {"total_act": 3.0}
    assert parse_later(status, *parse_part("")) == (38.4, 1000.125 * 3600)
    assert parse_later(status, *parse_part("1")) == (5.0, 7200.0)
    assert parse_later(status, *parse_part("switch:1")) == (5.0, 7200.0)
    assert parse_later(status, *parse_part("em:0")) == (7.0, 10_800.0)
    assert parse_later(status, *parse_part("pm1:0")) is None
    assert parse_first({"emeters": [{"power": 10.66, "is_valid": True, "total": 5.3}]}, "", 0) == (10.66, 5.3 * 3600)


@pytest.mark.parametrize(
    ("part", "reason"), [("switch:9", "has no component switch:9 with a power"), ("a b", "is not a component")]
)
def test_an_unknown_component_is_a_problem(part: str, reason: str) -> None:
    with plug(LATER) as state:
        result = found(discover, meter("shelly", state.url, part=part))
        assert reason in result.problems[0].reason
        assert "part" in result.problems[0].remedy


@given(
    some.binary(max_size=300)
    | some.recursive(
        some.none() | some.booleans() | some.floats() | some.text(),
        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_content_makes_a_parser_raise_or_invent_a_number(body: bytes) -> None:
    try:
        found = json.loads(body)
        parse_identity(body)
    except (ReadError, ValueError):
        return
    if isinstance(found, dict):
        for values in (parse_first(found, "", 0), parse_later(found, "", 0)):
            assert values is None or all(value is None or isinstance(value, float) for value in values)
