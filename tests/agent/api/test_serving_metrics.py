from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from make_reference import serving_snapshot
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.api.metrics import Exporter
from agent.api.serving_metrics import serving_families
from agent.attribution.snapshot import ServerState, ServingSnapshot
from prometheus_server import needs_promtool

if TYPE_CHECKING:
    from collections.abc import Callable


def text(serving: Callable[[], ServingSnapshot | None]) -> str:
    exporter = Exporter([], [], lambda: 0, lambda: 1, "1.2.3", serving=serving, process=False)
    return generate_latest(exporter.registry).decode()


def values(exposed: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_the_figures_of_a_server_are_exported_with_their_labels() -> None:
    found = values(text(serving_snapshot))
    own = {"server": "chat", "model": "m"}
    assert found["inferometer_serving_output_tokens_total"] == [(own, 50.0)]
    assert found["inferometer_serving_joules_per_output_token"] == [
        ({**own, "window_seconds": "60", "source": "measured"}, 2.0)
    ]
    assert {labels["part"]: value for labels, value in found["inferometer_serving_energy_joules_total"]} == {
        "attributed": 80.0,
        "idle": 20.0,
    }
    assert found["inferometer_serving_cost_per_million_tokens"] == [
        (
            {
                **own,
                "phase": "generation",
                "cost_basis": "allocation",
                "allocation_method": "multiplier",
                "currency": "EUR",
            },
            0.5,
        )
    ]
    assert found["inferometer_serving_request_duration_mean_seconds"] == [({**own, "basis": "reported"}, 2.0)]
    assert found["inferometer_serving_energy_residual_joules"] == [({"device": "GPU-1"}, -0.5)]


def test_nothing_is_exported_without_servers() -> None:
    assert "serving" not in text(lambda: None)
    assert "serving" not in text(ServingSnapshot)
    assert list(serving_families(None)) == []


def test_a_server_that_never_answered_has_no_figures() -> None:
    found = values(text(lambda: ServingSnapshot((ServerState("chat", "vllm", errors={"timeout": 2}),))))
    assert {name for name in found if "serving" in name} == {
        "inferometer_serving_up",
        "inferometer_serving_scrapes_total",
        "inferometer_serving_scrape_errors_total",
        "inferometer_serving_restarts_total",
        "inferometer_serving_labels_shortened",
        "inferometer_serving_models_folded",
    }
    assert found["inferometer_serving_up"] == [({"server": "chat"}, 0.0)]


@needs_promtool
def test_promtool_accepts_the_metrics_of_servers() -> None:
    exposed = text(serving_snapshot).encode()
    checked = subprocess.run(["promtool", "check", "metrics"], input=exposed, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
