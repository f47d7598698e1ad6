from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import GB200, H100, T4
from nvml_reading import GpuDiscovery, only, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


@pytest.mark.parametrize("prefix", ["", "nvml/"])
def test_excluded_gpu_has_no_probe(discover_gpus: GpuDiscovery, prefix: str) -> None:
    entry = f"{prefix}{H100.uuid}"
    found = discover_gpus(H100, T4, exclude=(entry,))
    assert only(found).name == f"nvml/{T4.uuid}"
    assert found.excluded == {entry}


def test_excluded_domain_is_dropped_and_the_values_of_the_others_are_the_same(discover_gpus: GpuDiscovery) -> None:
    everything = values(only(discover_gpus(H100)))
    found = discover_gpus(H100, exclude=(f"{H100.uuid}/board",))
    remaining = values(only(found))
    assert {domain for domain, _ in everything.keys() - remaining.keys()} == {"board"}
    average = ("board-average", "power_watts")
    assert remaining[average] == everything[average] != everything["board", "power_watts"]
    assert found.excluded == {f"{H100.uuid}/board"}


def test_gpu_without_its_excluded_power_is_no_problem(discover_gpus: GpuDiscovery) -> None:
    entries = tuple(f"{T4.uuid}/{domain}" for domain in ("board", "board-average"))
    probe = only(discover_gpus(T4, exclude=entries))
    assert not {"energy_joules", "power_watts"} & {channel.metric for channel in probe.channels}


def test_gpu_whose_domains_are_all_excluded_has_no_probe(discover_gpus: GpuDiscovery) -> None:
    entries = tuple({f"{T4.uuid}/{channel.domain}" for channel in only(discover_gpus(T4)).channels})
    found = discover_gpus(T4, exclude=entries)
    assert found.probes == ()
    assert found.problems == ()
    assert found.excluded == set(entries)


def test_module_power_moves_to_another_gpu_of_the_board_if_its_publisher_is_excluded(
    discover_gpus: GpuDiscovery,
) -> None:
    def publishers(*exclude: str) -> list[str]:
        probes = discover_gpus(*GB200, exclude=exclude).probes
        return [c.device.id for probe in probes for c in probe.channels if c.domain == "module"]

    first = publishers()
    second = publishers(*first[:1])
    assert len(second) == len(first)
    assert first[0] not in second
