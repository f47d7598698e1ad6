from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import A100, ENERGY, FIELDS, GB200, H100, T4, Gpu
from nvml_reading import GpuDiscovery, only, refused, values
from probes.errors import DeviceLostError, ReadError
from probes.model import Kind, Reason, Rejection
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPERATURE = "nvmlDeviceGetTemperature"


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def test_a_gpu_is_identified_by_its_uuid_and_has_the_address_of_sysfs(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(H100, bus_id="00000008:AF:00.0")))
    assert probe.name == f"nvml/{H100.uuid}"
    (device,) = {channel.device for channel in probe.channels}
    assert (device.id, device.kind, device.name) == (H100.uuid, Kind.GPU, "NVIDIA H100 80GB HBM3")
    assert device.attributes == (
        ("driver", "nvidia"),
        ("pci_address", "0008:af:00.0"),
        ("serial", "1650000000001"),
        ("driver_version", "580.105.08"),
        ("board_id", "0x5300"),
        ("module_id", "7"),
        ("mig", "disabled"),
    )


def test_unreported_attributes_of_a_gpu_are_left_out(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(T4, serial=None, board_id=None, module_id=None)))
    assert dict(probe.channels[0].device.attributes).keys() == {"driver", "pci_address", "driver_version"}


def test_energy_is_power_times_time(discover_gpus: GpuDiscovery) -> None:
    watts, refresh = 350.0, 0.005
    probe = only(discover_gpus(replace(H100, watts=watts, refresh_ms=refresh * 1000)))
    stamps = [time.monotonic()]
    before = values(probe)["board", "energy_joules"]
    stamps += [time.monotonic(), time.sleep(0.1) or time.monotonic()]
    after = values(probe)["board", "energy_joules"]
    stamps.append(time.monotonic())
    slack = watts * refresh + 0.002
    assert watts * (stamps[2] - stamps[1]) - slack < after - before < watts * (stamps[3] - stamps[0]) + slack


def test_a_restarted_counter_is_a_reset_and_continues(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(H100, raw={ENERGY: 1_000_000})))
    energy = []
    for millijoules in (1_004_000, 50_000, 53_000):
        discover_gpus.change(replace(H100, raw={ENERGY: millijoules}))
        energy.append(values(probe)["board", "energy_joules"])
    assert energy[0] == 1004.0
    assert math.isnan(energy[1])
    assert energy[2] == 1007.0
    assert probe.rejections == [Rejection(0, Reason.RESET)]


def test_a_counter_jump_above_the_power_of_the_gpu_is_not_energy(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(replace(H100, raw={ENERGY: 1_000_000})))
    energy = []
    for second, millijoules in enumerate((1_001_000, 900_000_000, 900_050_000, 900_100_000), 1):
        discover_gpus.change(replace(H100, raw={ENERGY: millijoules}))
        energy.append(probe.read(second * 10**9)[0])
    assert (energy[0], energy[3]) == (1001.0, 1051.0)
    assert all(map(math.isnan, energy[1:3]))
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE), Rejection(0, Reason.RESET)]


@pytest.mark.parametrize(
    ("function", "sentinel", "channel"),
    [
        (ENERGY, 0xFFFFFFFFFFFFFFFF, ("board", "energy_joules")),
        (f"{FIELDS}:186:0", 0xFFFFFFFF, ("board", "power_watts")),
        ("nvmlDeviceGetClockInfo:1", 0xFFFFFFFF, ("sm", "frequency_hertz")),
    ],
)
def test_a_sentinel_is_not_a_value(
    discover_gpus: GpuDiscovery, function: str, sentinel: int, channel: tuple[str, str]
) -> None:
    probe = only(discover_gpus(H100))
    discover_gpus.change(replace(H100, raw={function: sentinel}))
    read = values(probe)
    assert [key for key, value in read.items() if math.isnan(value)] == [channel]
    assert refused(probe) == {channel: Reason.SENTINEL}
    discover_gpus.change(H100)
    assert not any(map(math.isnan, values(probe).values()))


def test_a_power_above_four_times_the_limit_is_impossible(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(H100))
    discover_gpus.change(replace(H100, instant_watts=2800.0, average_watts=2800.001))
    read = values(probe)
    assert read["board", "power_watts"] == 2800.0
    assert math.isnan(read["board-average", "power_watts"])
    assert refused(probe) == {("board-average", "power_watts"): Reason.IMPOSSIBLE}


def test_a_failed_field_affects_only_its_own_channel(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(H100))
    discover_gpus.change(replace(H100, errors={f"{FIELDS}:185:2": fake_nvml.UNKNOWN}))
    read = values(probe)
    assert [key for key, value in read.items() if math.isnan(value)] == [("memory", "power_watts")]
    assert refused(probe) == {("memory", "power_watts"): Reason.READ_ERROR}


def test_a_failed_call_affects_only_its_own_channels(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(H100))
    discover_gpus.change(replace(H100, errors={"nvmlDeviceGetMemoryInfo_v2": fake_nvml.TIMEOUT}))
    lost = {("memory", "memory_used_bytes"), ("memory", "memory_total_bytes")}
    assert {key for key, value in values(probe).items() if math.isnan(value)} == lost
    assert refused(probe) == dict.fromkeys(lost, Reason.READ_ERROR)


def test_a_gpu_without_answers_is_a_failed_read_and_may_come_back(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(H100))
    discover_gpus.change(replace(H100, error=fake_nvml.UNKNOWN))
    with pytest.raises(ReadError, match=H100.uuid):
        probe.read(1)
    discover_gpus.change(H100)
    assert values(probe)["board", "power_watts"] == 68.92


@pytest.mark.parametrize("errors", [{ENERGY: 15}, {TEMPERATURE: 15}, {f"{FIELDS}:186:0": 15}])
def test_a_gpu_that_falls_off_the_bus_stops_only_its_own_probe(
    discover_gpus: GpuDiscovery, errors: Mapping[str, int]
) -> None:
    first, second = discover_gpus(H100, A100).probes
    discover_gpus.change(replace(H100, errors=errors), A100)
    with pytest.raises(DeviceLostError, match="GPU is lost"):
        first.read(1)
    assert values(second)["board", "power_watts"] == 49.68


def test_a_hanging_gpu_does_not_delay_another(discover_gpus: GpuDiscovery) -> None:
    wedged, well = discover_gpus(H100, A100).probes
    discover_gpus.change(replace(H100, delay_seconds=0.05), A100)
    stuck = threading.Thread(target=wedged.read, args=(1,))
    stuck.start()
    assert values(well)["board", "power_watts"] == 49.68
    assert stuck.is_alive()
    stuck.join()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(fake_nvml.GPU_IS_LOST, "xid"), (fake_nvml.NO_PERMISSION, "/dev/nvidia"), (fake_nvml.UNKNOWN, "nvidia-smi")],
)
def test_a_gpu_that_fails_at_discovery_is_a_problem_and_the_others_are_found(
    discover_gpus: GpuDiscovery, code: int, remedy: str
) -> None:
    found = discover_gpus(H100, replace(T4, error=code), A100)
    assert [probe.name for probe in found.probes] == [f"nvml/{H100.uuid}", f"nvml/{A100.uuid}"]
    (problem,) = found.problems
    assert problem.sensor == "NVIDIA GPU number 1"
    assert remedy in problem.remedy
    assert fake_nvml.open_sessions(discover_gpus.library) == 2


@pytest.mark.parametrize(
    "errors", [{ENERGY: fake_nvml.GPU_IS_LOST}, {f"{FIELDS}:185:1": fake_nvml.GPU_IS_LOST}], ids=["later", "early"]
)
def test_a_gpu_lost_during_discovery_is_a_problem(discover_gpus: GpuDiscovery, errors: Mapping[str, int]) -> None:
    found = discover_gpus(replace(H100, errors=errors), A100)
    assert [probe.name for probe in found.probes] == [f"nvml/{A100.uuid}"]
    assert "GPU is lost" in found.problems[0].reason


def test_a_gpu_without_any_readable_sensor_is_a_problem(discover_gpus: GpuDiscovery) -> None:
    names = ("Architecture", "CurrentClocksEventReasons", "CurrentClocksThrottleReasons", "Temperature", "TemperatureV")
    errors = {f"nvmlDeviceGet{name}": fake_nvml.NO_PERMISSION for name in names}
    blank = Gpu(
        "GPU-1",
        energy_joules=None,
        utilization_ratio=None,
        memory_bytes=None,
        sm_hertz=None,
        memory_hertz=None,
        errors=errors,
    )
    found = discover_gpus(blank)
    assert found.probes == ()
    assert found.problems[0].sensor == "nvml/GPU-1"
    found = discover_gpus(replace(blank, errors=dict.fromkeys(errors, fake_nvml.TIMEOUT)))
    assert found.probes == ()
    assert "answered none" in found.problems[0].reason
    found = discover_gpus(replace(blank, errors=dict.fromkeys(errors, fake_nvml.UNKNOWN)))
    assert found.probes == ()
    assert "Not Supported" in found.problems[0].reason
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


def test_a_driver_of_wsl_that_answers_unknown_in_place_of_unsupported_has_no_such_channels(
    discover_gpus: GpuDiscovery,
) -> None:
    unknown = dict.fromkeys((ENERGY, TEMPERATURE, f"{TEMPERATURE}V", f"{FIELDS}:185:2"), fake_nvml.UNKNOWN)
    probe = only(discover_gpus(replace(H100, errors=unknown)))
    read = values(probe)
    assert not {("board", "energy_joules"), ("core", "temperature_celsius"), ("memory", "power_watts")} & read.keys()
    assert read["board", "power_watts"] == 68.92
    assert not probe.rejections


def test_a_gpu_whose_power_is_not_supported_is_listed_with_its_other_sensors(discover_gpus: GpuDiscovery) -> None:
    spark = Gpu("GPU-spark", name="NVIDIA GB10", energy_joules=None, memory_bytes=None, utilization_ratio=0.5)
    found = discover_gpus(spark)
    (probe,) = found.probes
    assert values(probe)["board", "utilization_ratio"] == 0.5
    (problem,) = found.problems
    assert "Not Supported" in problem.reason
    assert problem.device is not None
    assert problem.device.contained_in == (("module", "module"),)
    assert not problem.is_unreadable


def test_a_gpu_without_a_uuid_is_a_problem(discover_gpus: GpuDiscovery) -> None:
    found = discover_gpus(replace(H100, errors={"nvmlDeviceGetUUID": fake_nvml.UNKNOWN}))
    assert found.probes == ()
    assert "UUID" in found.problems[0].reason


def test_a_read_asks_for_energy_first_and_for_all_power_in_one_call(discover_gpus: GpuDiscovery) -> None:
    probe = only(discover_gpus(GB200[0]))
    fake_nvml.take_calls(discover_gpus.library)
    probe.read(1)
    calls = fake_nvml.take_calls(discover_gpus.library)
    assert calls[:2] == [ENERGY, FIELDS]
    assert calls.count(FIELDS) == 1
    assert len(calls) == 9


def test_a_suspended_gpu_is_not_woken(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    status = write(tmp_path / "bus/pci/devices/0000:53:00.0/power/runtime_status", "active")
    probe = only(discover_gpus(H100))
    assert values(probe)["board", "power_watts"] == 68.92
    write(status, "suspended")
    fake_nvml.take_calls(discover_gpus.library)
    assert all(map(math.isnan, values(probe).values()))
    assert fake_nvml.take_calls(discover_gpus.library) == []
    assert not probe.rejections


def test_reading_only_the_energy_is_one_call_and_continues_the_same_counter(
    discover_gpus: GpuDiscovery, tmp_path: Path
) -> None:
    probe, library = only(discover_gpus(H100)), tmp_path / "libnvidia-ml.so.1"
    position = [channel.metric for channel in probe.channels].index("energy_joules")
    whole = probe.read(1_000_000_000)
    fake_nvml.take_calls(library)
    energy = probe.read_counters(1_010_000_000)
    assert fake_nvml.take_calls(library) == [ENERGY]
    assert energy[position] >= whole[position] > 0
    assert all(math.isnan(value) for at, value in enumerate(energy) if at != position)
    assert probe.rejections == []
    fake_nvml.write_state(library, [replace(H100, errors={ENERGY: fake_nvml.UNKNOWN})])
    with pytest.raises(ReadError):
        probe.read_counters(1_020_000_000)
    assert probe.rejections == [Rejection(position, Reason.READ_ERROR)]


class Asleep:
    """The status of a GPU that the kernel has put to sleep."""

    def is_suspended(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_the_counters_of_a_suspended_gpu_are_not_read(discover_gpus: GpuDiscovery, tmp_path: Path) -> None:
    probe = only(discover_gpus(H100))
    probe._status = Asleep()  # type: ignore[assignment]
    fake_nvml.take_calls(tmp_path / "libnvidia-ml.so.1")
    assert all(map(math.isnan, probe.read_counters(1_000_000_000)))
    assert fake_nvml.take_calls(tmp_path / "libnvidia-ml.so.1") == []
