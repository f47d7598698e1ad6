"""The simulated hosts of the proof of the fleet are distinct and consistent."""

from __future__ import annotations

import gzip
import http.client
import time
from contextlib import closing

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ports import free_port
from simulated_fleet import (
    COST,
    HOST_MARK,
    PRICE_PER_JOULE,
    SAMPLED,
    TOTAL,
    WATTS,
    Fleet,
    Page,
    address,
    host_of,
    serving,
)

GPU = f"GPU-{HOST_MARK}-1"
TEXT = f"""# HELP inferometer_energy_joules_total Energy, 100 % of it.
# TYPE inferometer_energy_joules_total counter
inferometer_energy_joules_total{{device="package-0",domain="package",kind="cpu",source="measured"}} 5.0
inferometer_energy_joules_total{{device="package-0",domain="core",kind="cpu",source="measured"}} 3.0
inferometer_energy_joules_total{{device="{GPU}",domain="board",kind="gpu",source="measured"}} 7.0
# TYPE inferometer_power_watts gauge
inferometer_power_watts{{device="{GPU}",domain="board",kind="gpu",source="measured"}} 7.0
# TYPE inferometer_utilization_ratio gauge
inferometer_utilization_ratio{{device="{GPU}",domain="board",kind="gpu",source="measured"}} 0.5
# TYPE inferometer_host_power_watts gauge
inferometer_host_power_watts{{boundary="components",source="measured"}} 9.0
# TYPE inferometer_host_energy_joules_total counter
inferometer_host_energy_joules_total{{boundary="components",source="measured"}} 12.0
# TYPE inferometer_host_cost_total counter
inferometer_host_cost_total{{currency="EUR"}} 1.0
# TYPE inferometer_host_channel_info gauge
inferometer_host_channel_info{{device="package-0",domain="package",metric="energy_joules"}} 1.0
inferometer_host_channel_info{{device="{GPU}",domain="board",metric="energy_joules"}} 1.0
# TYPE inferometer_probe_sample_timestamp_seconds gauge
inferometer_probe_sample_timestamp_seconds{{probe="rapl"}} 1.7e+09
# TYPE inferometer_probe_up gauge
inferometer_probe_up{{probe="rapl"}} 1.0
# TYPE inferometer_serving_output_tokens_total counter
inferometer_serving_output_tokens_total{{model="m",server="s"}} 4.0
# TYPE inferometer_serving_requests_total counter
inferometer_serving_requests_total{{model="m",server="s"}} 4.0
# TYPE inferometer_serving_energy_joules_total counter
inferometer_serving_energy_joules_total{{method="device",model="m",part="idle",server="s",source="measured"}} 4.0
inferometer_serving_energy_joules_total{{method="device",model="m",part="attributed",server="s",source="measured"}} 4.0
"""
KEYS = ("device", "domain", "part")
BEGAN = 1_790_000_000.0


@pytest.fixture
def fleet() -> Fleet:
    return Fleet([Page(TEXT)], BEGAN)


def values(text: bytes) -> dict[str, float]:
    """Return the values of a page by name and device, or by name and part."""
    return {
        "/".join([each.name, *(each.labels[key] for key in KEYS if key in each.labels)]): each.value
        for family in text_string_to_metric_families(text.decode())
        for each in family.samples
    }


def test_the_host_total_is_the_sum_of_the_counted_channels_and_the_known_energy(fleet: Fleet) -> None:
    at = BEGAN + 5000.25
    page = values(fleet.text(300, at))
    package = page["inferometer_energy_joules_total/package-0/package"]
    gpu = page["inferometer_energy_joules_total/GPU-0000012c-1/board"]
    assert page[TOTAL] == pytest.approx(package + gpu, abs=1e-5)
    assert page[TOTAL] == pytest.approx(float(fleet.joules(300, at)), abs=1e-5)
    assert page[COST] == pytest.approx(page[TOTAL] * PRICE_PER_JOULE, abs=1e-6)
    assert page[SAMPLED] == at
    assert page["inferometer_probe_up"] == 1.0
    served = [page[f"inferometer_serving_energy_joules_total/{part}"] for part in ("idle", "attributed")]
    assert sum(served) == pytest.approx(0.9 * gpu, abs=1e-5)
    assert page["inferometer_serving_output_tokens_total"] == np.floor(2 * gpu)


def test_counters_never_fall_and_the_power_is_their_slope(fleet: Fleet) -> None:
    at = BEGAN + np.arange(0.0, 8000.0, 7.0)
    for host in range(20):
        assert (np.diff(fleet.joules(host, at)) > 0).all()
    now = BEGAN + 4321.0
    page, later = (values(fleet.text(3, each)) for each in (now, now + 1.0))
    assert page[WATTS] == pytest.approx(later[TOTAL] - page[TOTAL], abs=0.002)


def test_every_host_has_devices_and_energy_of_its_own(fleet: Fleet) -> None:
    texts = [fleet.text(host, BEGAN + 3600.0) for host in range(200)]
    assert len({values(text)[TOTAL] for text in texts}) == 200
    assert not any(HOST_MARK.encode() in text for text in texts)
    assert all(b"GPU-%08x-1" % host in text for host, text in enumerate(texts))


def test_the_energy_at_several_times_is_that_at_each(fleet: Fleet) -> None:
    at = BEGAN + np.array([10.0, 500.5, 90_000.0])
    assert fleet.joules(9, at).tolist() == [float(fleet.joules(9, float(each))) for each in at]


def test_an_address_names_its_host() -> None:
    assert address(0, 80) == "127.1.0.0:80"
    assert address(9_999, 80) == "127.1.39.15:80"
    assert [host_of(address(host, 80)) for host in (0, 255, 256, 65_536, 70_001)] == [0, 255, 256, 65_536, 70_001]


@pytest.mark.system
def test_one_process_serves_every_host_at_its_own_address() -> None:
    port = free_port()
    with serving(Fleet([Page(TEXT)], time.time() - 3600.0), port):
        found = []
        for host in (0, 1, 9_999):
            with closing(http.client.HTTPConnection(address(host, port), timeout=10)) as connection:
                for encoding in ("identity", "gzip"):  # on one connection
                    connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
                    answer = connection.getresponse()
                    body = answer.read()
                    packed = answer.headers["Content-Encoding"] == "gzip"
                    assert packed == (encoding == "gzip")
                    found.append((host, values(gzip.decompress(body) if packed else body)))
    assert len({page[TOTAL] for _, page in found}) == len(found)
    assert all(f"inferometer_energy_joules_total/GPU-{host:08x}-1/board" in page for host, page in found)
