"""The exported metrics against their reference, both formats and the golden files."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_reference import serving_snapshot
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.sampling.store_state import StoreState
from exported import GPU, HOST, NOW, POWER, Losing, export, state, tick
from probes import rapl
from probes.model import METRICS, Channel, Device, Kind, Roots, Source
from store.records import Layout
from trees import copy_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric as Family

    from agent.api.metrics import Exporter

TESTS = Path(__file__).parent.parent.parent


def everything(*, process: bool) -> Exporter:
    """Return an exporter with every metric."""
    refusing = state()
    refusing.rejected = {(0, "sentinel"): 1}
    model = Channel(GPU, "model", "power_watts", Source.ESTIMATED, uncertainty=0.6)
    layout = Layout(1, "gpu", (*(Channel(GPU, "board", metric) for metric in METRICS), model))
    values = map(float, range(len(METRICS) + 1))
    return export(
        [layout],
        [refusing],
        [tick(*values)],
        host=HOST,
        store=StoreState("", NOW, 2),
        serving=serving_snapshot(),
        totals=Losing(),
        process=process,
    )


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the type and the labels of every metric in the tables of docs/metrics.md."""
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)
    text = (TESTS.parent / "docs/metrics.md").read_text(encoding="utf-8")
    return {name: (kind, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in row.findall(text)}


def shown(families: Iterable[Family]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the type, in the words of the text format, and the labels of every sample."""
    return {
        sample.name: ("gauge" if family.type == "info" else family.type, tuple(sorted(sample.labels)))
        for family in families
        for sample in family.samples
    }


def test_the_reference_has_exactly_the_exported_metrics_with_their_types_and_labels():
    assert documented() == shown(everything(process=True).registry.collect())


def test_both_formats_can_be_parsed_and_have_the_same_values():
    registry = everything(process=False).registry
    text = list(parse_text(generate_latest(registry).decode()))
    openmetrics = list(parse_openmetrics(generate_openmetrics(registry).decode()))
    assert shown(text) == shown(openmetrics)
    series = [(s.name, *sorted(s.labels.items())) for s in chain.from_iterable(family.samples for family in text)]
    assert len(set(series)) == len(series) > len(METRICS)


def golden_exporter(sysfs: Path, empty: Path) -> Exporter:
    """Return the exporter of a server with two sockets and a simulated accelerator with every other metric."""
    (probe,) = rapl.discover(Roots(str(sysfs), str(empty))).probes
    odd = Device('odd "name"\\', Kind.ACCELERATOR, "Line\nbreak", (("pci_address", "0000:01:00.0"),))
    metrics = [metric for metric in METRICS if metric != "energy_joules"]
    channels = [*(Channel(odd, "board", metric) for metric in metrics), replace(POWER, source=Source.ESTIMATED)]
    layouts = [Layout(1, probe.name, probe.channels), Layout(2, "odd", (*channels, replace(POWER, domain="module")))]
    states = [state("rapl"), state("odd")]
    states[1].rejected = {(0, "impossible"): 2}
    values = (*(0.5 + position for position in range(len(channels))), math.nan)
    exporter = export(layouts, states, [tick(*probe.read(0)), tick(*values, layout=2)])
    probe.close()
    return exporter


@pytest.mark.parametrize(
    ("file", "encode"), [("metrics.txt", generate_latest), ("metrics.openmetrics.txt", generate_openmetrics)]
)
def test_the_output_is_the_golden_one(tmp_path: Path, file: str, encode):
    """To change the files: INFEROMETER_WRITE_GOLDEN=1 pytest -k golden, then read the difference."""
    (tmp_path / "proc").mkdir()
    exporter = golden_exporter(copy_tree("intel_server_2s", tmp_path / "machine"), tmp_path / "proc")
    output = encode(exporter.registry).decode()
    golden = TESTS / "golden" / file
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        golden.write_text(output, encoding="utf-8")
    assert output.splitlines() == golden.read_text(encoding="utf-8").splitlines()


def test_the_golden_files_have_the_energy_of_every_zone():
    text = (TESTS / "golden/metrics.txt").read_text(encoding="utf-8")
    energies = [family for family in parse_text(text) if family.name == "inferometer_energy_joules"]
    places = {(s.labels["device"], s.labels["domain"]) for s in chain.from_iterable(f.samples for f in energies)}
    assert {("package-0", "package"), ("package-1", "dram"), ("psys", "psys")} <= places
