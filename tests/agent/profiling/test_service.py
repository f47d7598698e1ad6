"""A run on a server: its idle baselines, and the notes on energy and idle power that are not available."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from agent.config import Config
from agent.host.server import Server
from agent.profiling.context import ProfileRequest, RunContext
from agent.profiling.plan import PLANS
from agent.profiling.service import baselines, model_name, place_notes, server_notes, server_of
from agent.sampling.remote.feed import Feed
from agent.sampling.remote.probe import RemoteHost
from agent.workloads.declaration import Service
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.transformer.spec import TransformerSpec
from loads import load_window, report, request, streamed
from probes.registry import Discovery
from store.records import Host

HERE = Server("http://127.0.0.1:8000", True, frozenset({7}))
HIDDEN, AWAY = replace(HERE, processes=None), Server("http://192.0.2.1:8000", False, None)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    url: str
    started: bool = False
    workload: ClassVar[str] = "endpoint"
    label: ClassVar[str] = "the server"
    phases: ClassVar[tuple[str, ...]] = ("serving",)

    @property
    def service(self) -> Service:
        return Service(self.url, self.started)


def requested(spec, **axes):
    return ProfileRequest(spec, EngineSpec(), axes or {"rate": (2.0,)}, PLANS["quick"], None)


def context(server):
    nothing = None
    return RunContext(nothing, nothing, nothing, (), (), nothing, nothing, nothing, server)


RUNNING, STARTED = requested(LoadSpec(HERE.origin)), requested(LoadSpec(HERE.origin, started=True))
OWN_MODEL = requested(
    TransformerSpec(layers=1, width=32, heads=2, vocabulary=64, prompt_tokens=4, output_tokens=3), batch=(1,)
)


@pytest.mark.parametrize(
    ("run", "server", "expected"),
    [
        (OWN_MODEL, None, ("idle_unloaded", "idle_loaded")),
        (STARTED, HERE, ("idle_unloaded", "idle_loaded")),
        (RUNNING, HERE, ("idle_loaded",)),
        (RUNNING, AWAY, ()),
    ],
)
def test_a_run_measures_the_idle_power_that_its_sensors_can_show(run, server, expected):
    assert baselines(run, context(server)) == expected


def test_the_server_is_found_unless_the_run_starts_it():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert server_of(requested(LoadSpec(url)), Config()).processes
        assert server_of(requested(LoadSpec(url, started=True)), Config()).processes == frozenset()
    assert server_of(OWN_MODEL, Config()) is None


def test_a_server_elsewhere_has_no_energy_and_the_note_says_how_to_get_it():
    assert context(AWAY).is_elsewhere
    assert (context(AWAY).channels, context(AWAY).series(0, 1, frozenset())) == ([], ())
    (note,) = place_notes(AWAY)
    assert note.startswith("the server at http://192.0.2.1:8000 is not on this host, so its energy is not available")
    assert "--energy-from" in note


def test_hidden_processes_leave_the_load_of_others_unknown():
    (note,) = place_notes(HIDDEN)
    assert "the load of other programs is unknown" in note
    assert place_notes(HERE) == place_notes(None) == []


def test_a_server_that_the_run_did_not_start_has_no_unloaded_idle_power():
    (note,) = server_notes(HERE, RUNNING, ())
    assert "no idle and no dynamic part" in note
    assert server_notes(HERE, STARTED, ()) == []
    assert server_notes(AWAY, RUNNING, ()) == place_notes(AWAY)


def test_a_closed_loop_is_labelled():
    closed = requested(LoadSpec(HERE.origin, started=True), concurrency=(1, 2))
    assert server_notes(HERE, closed, ()) == [
        "closed loop: N clients wait for the server, so the latencies do not include queueing"
    ]


def test_points_without_a_success_are_named():
    good = load_window(1, 0, 1, report([streamed(0, 0.1, 0.01)]), '{"rate":1.0}')
    bad = load_window(1, 2, 3, report([request(0, 0.1, outcome="http 500")]), '{"rate":9.0}')
    empty = load_window(1, 4, 5, report([]), '{"rate":0.1}')
    assert server_notes(HERE, STARTED, (good, bad, empty)) == [
        "no request succeeded at rate=9.0: 1 x http 500; the point is left out",
        "no request succeeded at rate=0.1: none was due; the point is left out",
    ]


def test_a_server_whose_host_is_measured_there_names_that_host_and_the_doubt_about_its_clock():
    remote = RemoteHost(Feed("http://node1:19795/"), Host("the-id", "node1"), Discovery((), (), ()))
    remote.feed.clock_uncertainty_seconds = 0.00042
    (note,) = place_notes(AWAY, remote)
    assert "those of node1, read from http://node1:19795: its clock is known to within 0.42 ms" in note


def test_a_server_whose_host_is_measured_there_has_an_idle_baseline_and_no_processes_here():
    request = replace(RUNNING, energy_from="http://node1:19795")
    remote = RemoteHost(Feed("http://node1:19795"), Host("the-id", "node1"), Discovery((), (), ()))
    server = server_of(request, Config())
    assert server is not None
    assert server.processes is None
    assert baselines(request, replace(context(AWAY), remote=remote)) == baselines(RUNNING, context(HERE))


def test_a_model_that_a_server_lists_by_its_path_is_shown_by_its_name():
    assert model_name("/home/me/models/small.gguf") == "small.gguf"
    assert model_name("meta-llama/Llama-3.1-8B") == "meta-llama/Llama-3.1-8B"
