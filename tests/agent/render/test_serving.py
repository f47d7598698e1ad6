from __future__ import annotations

from make_reference import serving_snapshot
from prometheus_client.exposition import generate_latest

from agent.api.metrics import Exporter
from agent.render.serving import history_document, history_text, status_document, status_text
from store.records import ServingHour

HOUR = ServingHour(
    "host",
    "chat",
    "m",
    480_000,
    "served",
    "measured",
    10,
    2,
    "[[0.0,4,0],[2.0,6,2]]",
    "[[0.0,4,0],[20.0,5,1],[40.0,1,1]]",
    requests=100.0,
    output_tokens=1000.0,
    duration=250.0,
    idle_joules=400.0,
    idle_lower=390.0,
    idle_upper=410.0,
    attributed_joules=1600.0,
    attributed_lower=1500.0,
    attributed_upper=1700.0,
)


def metrics() -> str:
    exporter = Exporter([], [], lambda: 0, lambda: 1, "1.2.3", serving=serving_snapshot)
    return generate_latest(exporter.registry).decode()


def test_the_state_of_the_servers_is_that_of_the_exported_metrics() -> None:
    shown = status_document(metrics(), [HOUR])
    (server,) = shown["servers"]
    assert (server["server"], server["up"], server["errors"]) == ("chat", True, {"timeout": 1})
    (model,) = shown["models"]
    assert (model["output_tokens"], model["joules_per_output_token"], model["window_seconds"]) == (50, 2, 60)
    assert (model["lower"], model["upper"], model["source"]) == (1.8, 2.2, "measured")
    assert model["costs_per_million_tokens"][0]["amount"] == 0.5
    assert model["load"]["tokens_per_second"] == {"p50": 20.0, "p95": 40.0, "maximum": 40.0}
    (device,) = shown["devices"]
    assert device["joules"] == {"idle": 20.0, "attributed": 80.0, "unattributed": 5.0}
    text = status_text(shown)
    rows = [line.split() for line in text.splitlines()]
    assert ["chat", "m", "50", "100", "J", "2", "J", "60", "s", "-", "40"] in rows
    assert ["GPU-1", *["20", "J", "80", "J", "5", "J", "-500", "mJ", "50", "W", "measured"]] in rows
    assert "1 timeout" in text


def test_a_service_without_servers_has_an_empty_state() -> None:
    shown = status_document("inferometer_build_info 1\n", [])
    assert shown == {"servers": [], "models": [], "devices": []}


def test_a_server_without_energy_has_no_figures() -> None:
    shown = status_document(
        'inferometer_serving_up{server="a"} 0\ninferometer_serving_output_tokens_total{server="a",model=""} 5\n', []
    )
    (model,) = shown["models"]
    assert (model["joules_per_output_token"], model["energy"], model["load"]) == (None, [], None)
    assert status_text(shown).splitlines()[-1].split() == ["a", "-", "5", "-", "-", "-", "-", "-"]


def test_the_history_has_sums_energy_and_load_of_each_hour() -> None:
    empty = ServingHour("host", "chat", "", 480_001, "arrivals", "", 0, 0, "[]", "[]")
    shown = history_document([HOUR, empty])
    first, second = shown["hours"]
    assert first["start"] == "2024-10-04T00:00:00.000000000Z"
    assert (first["joules_per_output_token"], first["mean_request_seconds"]) == (2.0, 2.5)
    assert first["energy"]["attributed"] == {"joules": 1600.0, "lower": 1500.0, "upper": 1700.0}
    assert first["load"]["requests_per_second"] == {"p50": 2.0, "p95": 2.0, "maximum": 2.0}
    assert first["load"]["tokens_histogram"][2] == {"at_most_per_second": 40.0, "bins": 1, "censored_bins": 1}
    assert (second["joules_per_output_token"], second["load"], second["source"]) == (None, None, None)
    lines = history_text(shown).splitlines()
    assert lines[1].split() == [
        *("2024-10-04", "00:00", "chat", "m", "100", "1", "k", "2", "kJ", "2", "J", "20", "40", "40", "20", "%"),
        "served",
    ]
    assert lines[2].split()[2:] == ["chat", "-", *["-"] * 8, "-"]
