"""A fake of Intel's Level Zero loader, which the probe loads, and which answers as the test specifies.

    library = fake_sysman.build(tmp_path)                     # skips the test if gcc is missing
    fake_sysman.write_state(library, [fake_sysman.FLEX])      # again at any time, for the next call
    intel_gpu.discover(Roots(str(sysfs), libraries=str(tmp_path)))

A process has one fake: every `build` in it gives a link to the same library, so each test writes its state first.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SOURCE = Path(__file__).parent / "fixtures/level_zero/fake_sysman.c"
LOST, FORBIDDEN, UNINITIALIZED, NOT_SUPPORTED = 0x70000001, 0x70010000, 0x78000001, 0x78000003


@dataclass(frozen=True, slots=True)
class Gpu:
    """The answers of a fake GPU; None is "not supported".

    `domains` is the number of power domains, the last of which is the whole device. `busy_us` is the busy time of all
    engines and the time of this value. `errors` are return codes by function, `error` that of every call.
    """

    address: str = "0000:03:00.0"
    energy_uj: int | None = 5_000_000
    has_card_domain: bool = True
    domains: int = 1
    limit_mw: int | None = 150_000
    busy_us: tuple[int, int] | None = (1_000_000, 2_000_000)
    memory_bytes: tuple[int, int] | None = (1 << 30, 14 << 30)
    delay_seconds: float = 0.0
    error: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)


FLEX = Gpu()
"""A card with every sensor."""


def build(folder: Path) -> Path:
    """Put libze_loader.so.1 into `folder` and return its path; skip the test if there is no compiler."""
    library = folder / "libze_loader.so.1"
    if not library.exists():
        library.symlink_to(_compiled())
    return library


def write_state(library: Path, gpus: Sequence[Gpu], errors: Mapping[str, int] | None = None) -> None:
    """Set the GPUs of the library from now on; `errors` are return codes of calls about no GPU."""
    lines = [f"{function} !{code:x}" for function, code in (errors or {}).items()]
    lines.append(f"zesDeviceGet {len(gpus)}")
    for gpu in gpus:
        lines += ["gpu", *_answers(gpu)]
    state = library.resolve().with_name("state")
    written = state.with_suffix(".new")
    written.write_text("\n".join(lines) + "\n", encoding="utf-8")
    written.replace(state)


@functools.cache
def _compiled() -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = Path(tempfile.mkdtemp(prefix="fake-sysman-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "libze_loader.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-D_DEFAULT_SOURCE", f"-Wl,-soname,{library.name}"]
    state = f'-DFAKE_SYSMAN_STATE="{folder / "state"}"'
    subprocess.run(["gcc", *flags, state, "-o", str(library), str(SOURCE)], check=True)
    return library


def _answers(gpu: Gpu) -> Iterable[str]:
    if gpu.error:
        yield f"* !{gpu.error:x}"
    if gpu.delay_seconds:
        yield f"delay_ms {gpu.delay_seconds * 1e3:.0f}"
    yield from (f"{function} !{code:x}" for function, code in gpu.errors.items())
    yield f"zesDevicePciGetProperties {gpu.address}"
    if gpu.energy_uj is not None:
        yield f"zesPowerGetEnergyCounter {gpu.energy_uj} 1"
        yield f"zesDeviceEnumPowerDomains {gpu.domains}"
        if gpu.has_card_domain:
            yield "zesDeviceGetCardPowerDomain 1"
    if gpu.limit_mw is not None:
        yield f"zesPowerGetProperties {gpu.limit_mw}"
    if gpu.busy_us is not None:
        yield "zesDeviceEnumEngineGroups 2"
        yield f"zesEngineGetActivity {gpu.busy_us[0]} {gpu.busy_us[1]}"
    if gpu.memory_bytes is not None:
        yield f"zesMemoryGetState {gpu.memory_bytes[0]} {gpu.memory_bytes[1]}"
