"""The hosts of the proof of the fleet: services on simulated sensors that move, and the pages of their metrics."""

from __future__ import annotations

import functools
import math
import os
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_progress import progress
from live_service import free_port

import daemons
import fake_nvml
from metrics_server import MetricsServer, response
from simulated_fleet import HOST_MARK, Fleet, Page
from trees import powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KINDS = {"no accelerator": 0, "4 GPUs": 4, "8 GPUs": 8}
"""The kinds of hosts, with their accelerators."""
MIX = ("no accelerator", "no accelerator", "no accelerator", "4 GPUs", "8 GPUs")
"""The kinds of a fleet, in equal numbers."""
TARIFF = 'price_per_kwh = 0.25\ncurrency = "EUR"\ncapital = 20000\n'
_ZONES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram", "intel-rapl:1": "package-1", "intel-rapl:1:0": "dram"}
_SWING, _SWING_SECONDS = 0.3, 97.0
_PAGE_SECONDS = 120.0
_TRAFFIC = """vllm:prompt_tokens_total{{model_name="llama"}} {0}
vllm:generation_tokens_total{{model_name="llama"}} {0}
vllm:request_success_total{{finished_reason="stop",model_name="llama"}} {1}
vllm:num_requests_running{{model_name="llama"}} 1
vllm:num_requests_waiting{{model_name="llama"}} 0
"""


def create(home: Path, more: str = "", library: Path | str = "") -> Path:
    """Make a host of two packages with memory and a tariff, with an address of its own, and return it."""
    home.mkdir()
    daemons.create_host(home)
    for zone, name in _ZONES.items():
        if zone != "intel-rapl:0":
            powercap_zone(home / "sys", zone, name, 100_000_000)
    boot_id = shutil.copytree(daemons.PROC, home / "proc") / "sys/kernel/random/boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("proof\n", encoding="utf-8")  # without one, the energy of a restart is not counted
    (home / "tariff.toml").write_text(TARIFF, encoding="utf-8")
    daemons.configure(
        home,
        f'tariff = "{home / "tariff.toml"}"',
        sampling="period_seconds = 1\nestimates = false",
        listen=f"127.0.0.1:{free_port()}",
        procfs=home / "proc",
        library=library,
        exporter=more,
    )
    return home


@contextmanager
def moving(homes: Sequence[Path]) -> Iterator[None]:
    """Advance the counters of all hosts inside the block, each at a power of its own that varies."""
    ended, began = threading.Event(), time.monotonic()
    files = [
        (os.open(home / f"sys/class/powercap/{zone}/energy_uj", os.O_WRONLY), 30.0 + 7 * number + 11 * place)
        for number, home in enumerate(homes)
        for place, zone in enumerate(_ZONES)
    ]

    def move() -> None:
        turns = 2 * math.pi / _SWING_SECONDS
        while not ended.wait(0.05):
            seconds = time.monotonic() - began
            seconds += _SWING / turns * math.sin(turns * seconds)
            for file, watts in files:
                os.pwrite(file, b"%015d\n" % round(1e8 + watts * 1e6 * seconds), 0)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for file, _ in files:
            os.close(file)


@functools.cache
def pages() -> Mapping[str, Page]:
    """Return the page of each kind of host, as a service shows it."""
    progress("measuring one host of each kind")
    with tempfile.TemporaryDirectory(prefix="inferometer-fleet-") as folder:
        return {kind: Page(_page(Path(folder) / f"{gpus}-gpus", gpus)) for kind, gpus in KINDS.items()}


def fleet(began: float) -> Fleet:
    """Return the fleet of the mix of kinds; `began` is the Unix time of 0 J."""
    return Fleet([pages()[kind] for kind in MIX], began)


def _page(home: Path, gpus: int) -> str:
    """Return the metrics of a service once it shows the host total and, with GPUs, the energy of the served model."""
    cards = [
        replace(
            fake_nvml.H200, uuid=f"GPU-{HOST_MARK}-0000-4000-8000-{number:012d}", serial=f"{HOST_MARK}{number}",
            bus_id=f"00000000:{16 + number:02X}:00.0", board_id=16 + number, module_id=number,
        )
        for number in range(gpus)
    ]  # fmt: skip
    wanted = ["inferometer_host_power_watts{", *(["inferometer_serving_energy_joules_total{"] if gpus else [])]
    with ExitStack() as stack:
        more, library = "", ""
        if gpus:
            library = str(fake_nvml.build(folder := _made(home.with_name(f"{home.name}-driver"))).absolute())
            fake_nvml.write_state(folder / "libnvidia-ml.so.1", cards)
            devices = ", ".join(f'"{card.uuid}"' for card in cards)
            server = stack.enter_context(_traffic())
            more = f'[[serving]]\nname = "chat"\nurl = "{server.url}"\nkind = "vllm"\ndevices = [{devices}]\n'
        create(home, more, library)
        stack.enter_context(moving([home]))
        service = stack.enter_context(daemons.running(home))
        deadline = time.monotonic() + _PAGE_SECONDS
        while time.monotonic() < deadline:
            _, text = service.ask("/metrics")
            if all(name in text for name in wanted):
                return text
            time.sleep(1.0)
    raise SystemExit(f"a service with {gpus} GPUs does not show {' and '.join(wanted)}")


@contextmanager
def _traffic() -> Iterator[MetricsServer]:
    """Serve the counters of an inference server that produces a thousand tokens a second."""
    ended, began = threading.Event(), time.monotonic()

    def count() -> None:
        while not ended.wait(0.5):
            tokens = int(1000 * (time.monotonic() - began))
            server.script = response(_TRAFFIC.format(tokens, tokens // 100))

    with MetricsServer(response(_TRAFFIC.format(0, 0))).running() as server:
        thread = threading.Thread(target=count)
        thread.start()
        try:
            yield server
        finally:
            ended.set()
            thread.join()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
