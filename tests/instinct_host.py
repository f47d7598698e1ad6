"""A host of two AMD Instinct cards, for the conformance of their probes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from amd_cards import JOULE, instinct, metrics_table
from probes.conformance import FakeSensor, TreeHost
from probes.conformance.file_watch import accesses
from probes.conformance.tree_host import rewrite
from probes.model import Roots

if TYPE_CHECKING:
    from collections.abc import Iterator


class InstinctHost(TreeHost):
    """Two MI300X, whose counters run at 300 W and which reduce their clocks for power in a fifth of the time."""

    addresses = ("0000:05:00.0", "0000:26:00.0")

    def __init__(self, folder: Path) -> None:
        sysfs = folder / "sys"
        self._cards = [instinct(sysfs, address, index=at) for at, address in enumerate(self.addresses)]
        self._joules, self._seconds, self._since = 1000, 0.0, 0
        sensors = [
            FakeSensor(card / name, (f"{card.name}/{domain}", metric), divisor)
            for card in self._cards
            for name, domain, metric, divisor in (
                ("gpu_busy_percent", "package", "utilization_ratio", 100),
                ("mem_busy_percent", "memory", "utilization_ratio", 100),
                ("mem_info_vram_used", "memory", "memory_used_bytes", 1),
                ("mem_info_vram_total", "memory", "memory_total_bytes", 1),
            )
        ]
        sensors += [
            FakeSensor(card / "pp_dpm_sclk", (f"{card.name}/graphics", "frequency_hertz"), 1e-6, form="1: {}Mhz *\n")
            for card in self._cards
        ]
        sensors += [
            FakeSensor(card / f"hwmon/hwmon{at}/power1_cap", (f"{card.name}/package", "power_limit_watts"))
            for at, card in enumerate(self._cards)
        ]
        links = [sysfs / "bus/pci/devices" / address for address in self.addresses]
        super().__init__(
            folder,
            Roots(sysfs=str(sysfs), procfs=str(folder / "proc"), dev=str(folder / "dev")),
            sensors,
            presence=[*self._cards, *links],
        )

    def truth(self):
        counts = {}
        for address in self.addresses:
            counts[f"{address}/package", "energy_joules"] = float(self._joules)
            counts[f"{address}/power-cap", "throttled_seconds"] = self._seconds / 5
        return {**super().truth(), **counts}

    def advance(self, seconds: float) -> None:
        self._joules += round(300 * seconds)
        self._seconds += seconds
        super().advance(seconds)

    def reset(self) -> None:
        self._since = self._joules
        super().reset()

    def blank(self) -> Iterator[str]:
        for text in super().blank():
            for card in self._cards:
                rewrite(card / "gpu_metrics", metrics_table((1, 6)))
            yield text

    def garble(self) -> Iterator[str]:
        for text, table in zip(super().garble(), _spoiled_tables(), strict=False):
            for card in self._cards:
                rewrite(card / "gpu_metrics", table)
            yield text

    def refuse(self) -> None:
        super().refuse()
        for path in self._tables():
            self._set_aside(path)
            path.symlink_to("/proc/self/mem")

    def suspend(self) -> None:
        for card in self._cards:
            rewrite(card / "power/runtime_status", b"suspended\n")
        self._watch = accesses([*(sensor.path for sensor in self._sensors), *self._tables()])

    def _tables(self) -> list[Path]:
        return [card / "gpu_metrics" for card in self._cards]

    def _open_files(self) -> Iterator[int]:
        yield from super()._open_files()
        wanted = {path.stat().st_ino for path in self._tables()}
        for number in (int(link.name) for link in Path("/proc/self/fd").iterdir()):
            with suppress(OSError):
                if os.fstat(number).st_ino in wanted:
                    yield number

    def _show(self) -> None:
        super()._show()
        cycles = round(self._seconds * 1000)
        for path in self._tables():
            fields = {"energy_accumulator": (self._joules - self._since) * JOULE, "socket_power": 300}
            clock = 10**12 + round(self._seconds * 1e9)
            limited = {"accumulation_counter": cycles, "prochot": 0, "ppt": cycles // 5}
            others = dict.fromkeys(("socket_thm", "vr_thm", "hbm_thm"), 0)
            table = metrics_table((1, 6), **fields, system_clock_counter=clock, **limited, **others)
            if path.exists():
                rewrite(path, table)


def _spoiled_tables() -> Iterator[bytes]:
    """Yield tables that are truncated, of another size, of another format, or no tables."""
    sound = metrics_table((1, 6), energy_accumulator=1, system_clock_counter=1)
    while True:
        yield b""
        yield sound[:100]
        yield sound[:-1]
        yield b"\x00\x07" + sound[2:]
        yield sound[:2] + b"\x01\x09" + sound[4:]
        yield b"\x00" * 4
        yield b"garbage"
