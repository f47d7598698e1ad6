from __future__ import annotations

import ctypes.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from fake_nvml import A100, H100
from nvml_reading import GpuDiscovery, values
from probes import nvml
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.nvml.library import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBES = Path(nvml.__file__).parents[1]


@pytest.fixture
def discover_gpus(tmp_path: Path) -> Iterator[GpuDiscovery]:
    with GpuDiscovery(fake_nvml.build(tmp_path), tmp_path) as discover_gpus:
        yield discover_gpus


def test_the_driver_is_released_when_the_last_probe_is_closed(discover_gpus: GpuDiscovery) -> None:
    first, second = discover_gpus(H100, A100).probes
    assert fake_nvml.open_sessions(discover_gpus.library) == 2
    first.close()
    first.close()
    assert fake_nvml.open_sessions(discover_gpus.library) == 1
    assert values(second)["board", "power_watts"] == 49.68
    second.close()
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


def test_a_driver_without_a_gpu_needs_no_remedy(discover_gpus: GpuDiscovery) -> None:
    with pytest.raises(ProbeUnavailableError, match="lists no GPU") as unavailable:
        discover_gpus()
    assert unavailable.value.remedy == ""
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (fake_nvml.DRIVER_NOT_LOADED, "modprobe nvidia"),
        (fake_nvml.VERSION_MISMATCH, "reboot"),
        (fake_nvml.NO_PERMISSION, "/dev/nvidiactl"),
        (fake_nvml.UNKNOWN, "nvidia-smi"),
    ],
)
def test_a_driver_that_does_not_start_has_a_remedy(discover_gpus: GpuDiscovery, code: int, remedy: str) -> None:
    fake_nvml.write_state(discover_gpus.library, [H100], errors={"nvmlInitWithFlags": code})
    with pytest.raises(ProbeUnavailableError) as unavailable:
        nvml.discover(Roots(nvml_library=str(discover_gpus.library)))
    assert remedy in unavailable.value.remedy
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


def test_a_driver_that_cannot_list_its_gpus_is_unavailable(discover_gpus: GpuDiscovery) -> None:
    fake_nvml.write_state(discover_gpus.library, [H100], errors={"nvmlDeviceGetCount_v2": fake_nvml.UNKNOWN})
    with pytest.raises(ProbeUnavailableError, match="lists no GPUs"):
        nvml.discover(Roots(nvml_library=str(discover_gpus.library)))
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProbeUnavailableError, match="nowhere") as unavailable:
        nvml.discover(Roots(nvml_library=str(tmp_path / "nowhere.so")))
    assert "path" in unavailable.value.remedy


def test_a_library_other_than_the_driver_is_refused(discover_gpus: GpuDiscovery) -> None:
    mathematics = ctypes.util.find_library("m")
    discover_gpus.change(H100)
    open_session(str(discover_gpus.library)).close()
    with pytest.raises(ProbeUnavailableError, match=re.escape(str(mathematics))) as unavailable:
        nvml.discover(Roots(nvml_library=str(mathematics)))
    assert "soname" in unavailable.value.remedy
    assert fake_nvml.open_sessions(discover_gpus.library) == 0


def test_without_a_driver_there_is_no_remedy_and_the_binding_is_not_imported() -> None:
    # In a separate process: the linker of this one may have loaded the fake already.
    script = """
import sys
from probes import nvml
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.nvml.library import open_session
try:
    nvml.discover(Roots())
except ProbeUnavailableError as error:
    print([error.remedy, "pynvml" in sys.modules])
"""
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=PROBES.parent, capture_output=True, text=True, check=True
    )
    if not completed.stdout:
        pytest.skip("an NVIDIA driver is installed here")
    assert completed.stdout == "['', False]\n"


def test_another_process_reads_the_fake_at_its_path(discover_gpus: GpuDiscovery) -> None:
    discover_gpus(H100)
    script = """
import sys
from probes import nvml
from probes.model import Roots
from probes.nvml.library import open_session
(probe,) = nvml.discover(Roots(nvml_library=sys.argv[1])).probes
print(probe.name, probe.read(1)[1])
"""
    completed = subprocess.run(
        [sys.executable, "-c", script, str(discover_gpus.library)],
        cwd=PROBES.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == f"nvml/{H100.uuid} 68.92\n"


def test_no_function_that_changes_a_setting_is_used() -> None:
    sources = [path.read_text() for path in (PROBES / "nvml").glob("*.py")]
    assert len(sources) >= 2
    assert not [name for source in sources for name in re.findall(r"nvml\w*(?:Set|Reset|Clear)\w*", source)]
