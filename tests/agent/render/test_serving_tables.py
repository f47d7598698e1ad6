"""A printed profile of a load on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from msgspec import structs, to_builtins

from agent.profiling.document.codec import check
from agent.render.profile_text import profile_text
from agent.render.serving_tables import client_text, latency_table, level_text, load_table, rate_text
from command import ROOT
from serving_documents import CLOSED, FOUND, LEVEL, OPEN, served

if TYPE_CHECKING:
    from typing import Any

GOLDEN = ROOT / "tests/golden/serving_profile.txt"
RATE = to_builtins(FOUND)
TARGET = "90 % within TTFT 500 ms, TPOT 50 ms"


def test_the_printed_profile_of_a_load_is_the_golden_one() -> None:
    document = served(OPEN, FOUND)
    check(document)
    text = f"{profile_text(document, 80)}\n"
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 80


def test_a_closed_loop_is_labelled_and_has_no_goodput_without_a_level() -> None:
    text = profile_text(served(CLOSED), 100)
    assert "N clients, not queueing latency." in text
    assert "GOODPUT" not in text
    assert "Highest rate" not in text


def test_the_best_point_is_one_that_met_the_level() -> None:
    fast, slow = OPEN
    assert fast["serving"]["goodput"]["met"]
    assert not slow["serving"]["goodput"]["met"]
    joules = [point["energy"]["joules_per_inference"]["total"]["mean"] for point in OPEN]
    assert joules[1] < joules[0]
    text = profile_text(served(OPEN), 100)
    assert text.startswith("Best point        rate=8.0: 8.00 requests/s")


def test_a_load_without_tokens_or_streaming_has_the_latency_of_requests_alone() -> None:
    point = {**OPEN[0], "output_tokens_per_second": None, "time_to_first_token_seconds": None}
    point |= {"inter_token_latency_seconds": None}
    point["serving"] = {**point["serving"], "time_per_output_token_seconds": None, "goodput": None}
    rows = latency_table([point], 100).splitlines()[2:]
    assert [row.split()[1] for row in rows] == ["E2E"]
    assert load_table([point], 100).splitlines()[1].split() == ["POINT", "REQ/S", "ERRORS"]
    mixed = load_table([point, OPEN[0]], 100).splitlines()[-2:]
    assert mixed[0].split() == ["rate=8.0", "8.00", "±0", "%", "-", "-", "-", "0", "of", "120"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, f"8.00 requests/s met {TARGET}, confirmed by rate=8.0; 9.00 missed it"),
        ({"lowest_missed": None}, f"8.00 requests/s met {TARGET}, confirmed by rate=8.0"),
        ({"point": None}, f"8.00 requests/s met {TARGET} in the search, and a fresh run did not confirm it; 9.00"),
        ({"point": None, "highest_met": None}, f"none met {TARGET} in 2 trials; 9.00 missed it"),
    ],
)
def test_the_result_of_a_search_is_one_sentence(change: dict[str, Any], words: str) -> None:
    assert rate_text({**RATE, **change}).startswith(words)
    assert rate_text(None) == ""


def test_a_level_shows_its_limits() -> None:
    assert level_text(to_builtins(structs.replace(LEVEL, e2e_seconds=10.0))) == "TTFT 500 ms, TPOT 50 ms, E2E 10 s"


def test_the_client_is_described_by_its_worst_point() -> None:
    assert (
        client_text(OPEN) == "0.04 CPUs, sends up to 500 µs late (p99), event loop up to 1 ms late (p99) (worst point)"
    )
    unknown = {"client_cpus": None, "send_lag_p99_seconds": None, "loop_lag_p99_seconds": None}
    assert client_text([{"serving": {**OPEN[0]["serving"], **unknown}}]) == ""
    assert client_text([{"serving": None}]) == ""


def test_a_server_elsewhere_is_the_reason_for_missing_energy() -> None:
    blind = [{**point, "energy": None, "power": None, "cost": None} for point in OPEN]
    document = {**served(blind), "devices": []}
    document["coverage"] = {**document["coverage"], "includes": [], "source": None, "boundary": "none"}
    text = profile_text(document, 100)
    assert "1 request         energy not available: the server is on another host" in text
    assert "Energy       not available: the server is on another host" in text
