"""Bench meters: a simulated instrument of pyvisa-sim, and a raw socket that real PyVISA-py opens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meters import SECOND, found, meter, only_probe, values_of
from probes.errors import ReadError
from probes.meters.search import discover_meters
from probes.scpi import discover
from probes.scpi.answers import check_place, identity_in, number_in
from probes.scpi.instrument import Instrument
from probes.settings import SensorSettings
from scpi_server import instrument

POWER, ENERGY = ":MEAS:POW?", ":INT:ENER?"
SIMULATED = """spec: "1.1"
devices:
  analyzer:
    eom:
      TCPIP SOCKET:
        q: "\\n"
        r: "\\n"
    error: ERROR
    dialogues:
      - q: "*IDN?"
        r: "ACME,PA-100,12345,1.02"
    properties:
      power:
        default: 38.4
        getter:
          q: ":MEAS:POW?"
          r: "{:.4E}"
        specs:
          type: float
      energy:
        default: 1.5
        getter:
          q: ":INT:ENER?"
          r: "{:.6f}"
        specs:
          type: float
resources:
  TCPIP0::127.0.0.1::5025::SOCKET:
    device: analyzer
"""


def test_a_simulated_instrument_is_read(tmp_path) -> None:
    (tmp_path / "analyzer.yaml").write_text(SIMULATED)
    analyzer = meter("scpi", "scpi://127.0.0.1", power=POWER, energy=ENERGY)
    library = f"{tmp_path / 'analyzer.yaml'}@sim"
    result = discover_meters(
        "scpi", ("scpi",), SensorSettings(meters=(analyzer,)), lambda each: Instrument(each, library)
    )
    probe = only_probe(result)
    assert values_of(probe, SECOND) == {"power_watts": 38.4, "energy_joules": 1.5 * 3600}
    attributes = dict(probe.channels[0].device.attributes)
    assert (attributes["model"], attributes["serial"], attributes["firmware"]) == ("ACME PA-100", "12345", "1.02")
    probe.close()


def test_only_queries_are_sent_to_an_instrument() -> None:
    answers = {POWER: b"3.84E+01\n", ENERGY: b"9.91E37\n"}
    with instrument(answers) as state:
        probe = only_probe(found(discover, meter("scpi", state.url, power=POWER, energy=ENERGY, serial="A1")))
        assert values_of(probe, SECOND) == {"power_watts": 38.4}
        assert set(state.received) == {"*IDN?", POWER, ENERGY}
        assert dict(probe.channels[0].device.attributes)["serial"] == "A1"
        probe.close()


def test_the_averaging_time_is_the_refresh_of_the_meter() -> None:
    with instrument({POWER: b"38.4\n"}) as state:
        probe = only_probe(found(discover, meter("scpi", state.url, power=POWER, refresh_seconds=0.5)))
        (channel,) = probe.channels
        assert (channel.method, channel.refresh_seconds) == ("average", 0.5)
        before = len(state.received)
        shown = [bool(values_of(probe, round(at * SECOND))) for at in (1, 1.4, 1.5)]
        assert (shown, len(state.received) - before) == ([True, False, True], 2)
        probe.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"", "did not answer"), (b"ERROR\n", "reports neither"), (b"1" * 9000, "more than 4096 bytes")],
)
def test_an_answer_without_a_number_is_no_sample(answer: bytes, reason: str) -> None:
    with instrument({POWER: b"38.4\n"}) as state:
        probe = only_probe(found(discover, meter("scpi", state.url, power=POWER)))
        state.answers[POWER] = answer
        with pytest.raises(ReadError, match=reason):
            probe.read(SECOND)
        probe.close()


def test_an_instrument_that_is_off_is_a_problem() -> None:
    (problem,) = found(discover, meter("scpi", "scpi://127.0.0.1:9", power=POWER)).problems
    assert problem.reason
    assert problem.sensor.startswith("meter-desk (")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("38.4", 38.4),
        ("+3.84E+01", 38.4),
        (".5", 0.5),
        ("1.0,2.0", 1.0),
        ("9.91E37", None),
        ("9.9E+37", None),
        ("-9.9E37", None),
        ("nan", None),
        ("inf", None),
        ("38.4 W", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_the_first_number_of_an_answer_counts(answer: str, value: float | None) -> None:
    assert number_in(answer) == value


def test_the_identity_has_maker_model_serial_and_firmware() -> None:
    assert identity_in("ACME,PA-100,0,1.02") == {"model": "ACME PA-100", "serial": "", "firmware": "1.02"}
    assert identity_in("") == {"model": "", "serial": "", "firmware": ""}
    assert identity_in("a,b,c,d,e")["firmware"] == "d,e"


@pytest.mark.parametrize("query", [":OUTP ON", "*RST", ":MEAS:POW?;*RST", ":MEAS:POW?\n*RST", "A?" + "x" * 100])
def test_a_command_that_sets_something_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="is not one query"):
        check_place(query)


@given(some.text(max_size=100))
def test_no_answer_makes_the_parsers_raise(answer: str) -> None:
    value = number_in(answer)
    assert value is None or math.isfinite(value)
    assert set(identity_in(answer)) == {"model", "serial", "firmware"}
