"""Serves the metrics of thousands of simulated hosts on loopback, each at an address of its own.

A host has the page of a real service, with device ids, counters and powers of its own. They follow from the number of
the host and the time, so the true energy of every host is known at any time:

    fleet = Fleet([Page(text)], began=time.time())
    fleet.text(7, at)                       # the page of host 7
    fleet.joules(7, at)                     # its host total at that time
    with serving(fleet, port):              # http://127.1.0.7:port/metrics
        ...
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import os
import re
import signal
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

HOST_MARK = "5eed0000"
"""The part of a device id on a page that is replaced by the number of the host."""
PRICE_PER_JOULE = 0.25 / 3.6e6
TOTAL, COST = "inferometer_host_energy_joules_total", "inferometer_host_cost_total"
WATTS, SAMPLED = "inferometer_host_power_watts", "inferometer_probe_sample_timestamp_seconds"

_HOST_COUNTERS = {TOTAL: 1.0, COST: PRICE_PER_JOULE}
_ENERGETIC = ("inferometer_energy_joules_total", "inferometer_power_watts")
_SERVING = "inferometer_serving_"
_SWING, _SWING_SECONDS, _NOISE_SECONDS, _MINUTE = 0.3, 3607.0, 8.0, 60.0
_GPU_WATTS, _CPU_WATTS, _DRAM_WATTS = 350.0, 120.0, 15.0
_JOULES_PER_TOKEN = 0.5
_PARTS = {"idle": 0.3, "attributed": 0.6, "unattributed": 0.1}
"""The shares of the parts in the energy of a device."""
_COUNTS = {"input_tokens_total": 4.0, "output_tokens_total": 1.0, "requests_total": 1 / 256}
"""Counts of traffic for each output token."""
_GAUGES = ("utilization_ratio", "frequency_hertz", "memory_used_bytes", "joules_per_output_token", "read_seconds",
           "_mean_seconds", "cost_per_million_tokens", "temperature_celsius")  # fmt: skip
_FIRST_GAUGE = 1000
"""Above the number of any channel, so that gauges have random numbers of their own."""
_START_SECONDS = 30.0
_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a page."""

    name: str
    labels: Mapping[str, str]
    value: float

    @property
    def place(self) -> tuple[str, str]:
        """The device and the domain."""
        return self.labels.get("device", ""), self.labels.get("domain", "")


class Page:
    """The page of a service, whose varying values become functions of the host and the time.

    `channels` are the (device, domain) of the sensors of energy and power, and `mean_watts` their powers. `linear` has
    the weights of counters over the joules of the channels, by position among the varying values, and `powers` those of
    gauges over their watts. `counted` are the weights of the host total.
    """

    def __init__(self, text: str) -> None:
        lines = [(line, _parsed(line)) for line in text.splitlines()]
        self.samples = [sample for _, sample in lines if sample]
        self.channels = list(dict.fromkeys(each.place for each in self.samples if each.name in _ENERGETIC))
        self.mean_watts = np.array([_mean_watts(*place) for place in self.channels])
        self.counted = self._weights([each.place for each in self._named("inferometer_host_channel_info")])
        self._gpus = self._weights([place for place in self.channels if place[0].startswith("GPU")])
        self._models = len({each.labels["model"] for each in self._named(f"{_SERVING}requests_total")}) or 1
        self.linear: dict[int, np.ndarray] = {}
        self.powers: dict[int, np.ndarray] = {}
        self.gauges: dict[int, float] = {}
        self.whole: list[int] = []
        self.times: list[int] = []
        self.size = 0
        self.template = "".join(f"{self._line(line, sample)}\n" for line, sample in lines).encode()

    def _named(self, name: str) -> list[Sample]:
        return [each for each in self.samples if each.name == name]

    def _weights(self, places: Sequence[tuple[str, str]]) -> np.ndarray:
        return np.array([float(place in places) for place in self.channels])

    def _line(self, line: str, sample: Sample | None) -> str:
        """Return a line of the template, with a place for its value if that varies."""
        if sample is None or not self._varies(sample):
            return line.replace("%", "%%")
        self.size += 1
        return line.rpartition(" ")[0].replace("%", "%%") + " %r"

    def _varies(self, sample: Sample) -> bool:
        """Add the law of a value at the next position, and return whether it has one."""
        weights = self._counter(sample)
        if weights is not None:
            self.linear[self.size] = weights
            if sample.name.removeprefix(_SERVING) in _COUNTS:
                self.whole.append(self.size)
        elif sample.name == "inferometer_power_watts":
            self.powers[self.size] = self._weights([sample.place])
        elif sample.name == WATTS:
            self.powers[self.size] = self.counted
        elif sample.name.endswith("_timestamp_seconds"):
            self.times.append(self.size)
        elif sample.name.endswith(_GAUGES) and sample.value:
            self.gauges[self.size] = sample.value
        else:
            return False
        return True

    def _counter(self, sample: Sample) -> np.ndarray | None:
        """Return the weights of a counter over the joules of the channels; None for any other metric."""
        part, own = _PARTS.get(sample.labels.get("part", ""), 1.0), sample.name.removeprefix(_SERVING)
        if sample.name == "inferometer_energy_joules_total":
            return self._weights([sample.place])
        if sample.name in _HOST_COUNTERS:
            return _HOST_COUNTERS[sample.name] * self.counted
        if sample.name == f"{_SERVING}device_energy_joules_total":
            return part * self._weights([place for place in self.channels if place[0] == sample.place[0]])
        if sample.name == f"{_SERVING}energy_joules_total":
            return part / self._models * self._gpus
        if own in _COUNTS:
            return _COUNTS[own] / _JOULES_PER_TOKEN / self._models * self._gpus
        return None


class Fleet:
    """Hosts by number; host N has the page N modulo the number of pages. `began` is the Unix time of 0 J."""

    def __init__(self, pages: Sequence[Page], began: float) -> None:
        self._pages, self._began = tuple(pages), began
        self._laws = [(_matrix(page.linear), _matrix(page.powers)) for page in pages]

    def page(self, host: int) -> Page:
        """Return the page of a host."""
        return self._pages[host % len(self._pages)]

    def joules(self, host: int, at: float | np.ndarray) -> np.ndarray:
        """Return the host total in joules at a Unix time, or at each of several."""
        return self._channel_joules(host, at) @ self.page(host).counted

    def text(self, host: int, at: float) -> bytes:
        """Return the page of a host at a Unix time, as Prometheus reads it."""
        page, (linear, powers) = self.page(host), self._laws[host % len(self._pages)]
        joules = self._channel_joules(host, at)
        values = np.empty(page.size)
        values[list(page.linear)] = np.round(linear @ joules, 6)
        values[page.whole] = np.floor(values[page.whole])
        values[list(page.powers)] = np.round(powers @ (self._channel_joules(host, at + 1.0) - joules), 3)
        values[page.times] = at
        random = _uniform(host, _FIRST_GAUGE + np.arange(len(page.gauges)), at // _MINUTE)
        values[list(page.gauges)] = np.round(np.array(list(page.gauges.values())) * (0.9 + 0.1 * random), 3)
        return (page.template % tuple(values.tolist())).replace(HOST_MARK.encode(), b"%08x" % host)

    def _channel_joules(self, host: int, at: float | np.ndarray) -> np.ndarray:
        """Return the joules of each channel (last axis): a constant power, a slow swing, and noise of each minute."""
        page = self.page(host)
        channels = np.arange(len(page.channels))
        own = _uniform(host, channels, 0.0)
        seconds = (np.asarray(at) - self._began)[..., None]
        turns, phase = 2 * np.pi / _SWING_SECONDS, 2 * np.pi * own
        swing = _SWING / turns * (np.sin(turns * seconds + phase) - np.sin(phase))
        minute = np.floor(seconds / _MINUTE)
        share = seconds / _MINUTE - minute
        noise = (1 - share) * _uniform(host, channels, minute + 1) + share * _uniform(host, channels, minute + 2)
        return np.round(page.mean_watts * (0.7 + 0.6 * own) * (seconds + swing + _NOISE_SECONDS * noise), 6)


def address(host: int, port: int) -> str:
    """Return the address of a host, in 127.0.0.0/8."""
    return f"127.{1 + (host >> 16)}.{host >> 8 & 255}.{host & 255}:{port}"


def host_of(address: str) -> int:
    """Return the number of the host of an address."""
    _, high, middle, low = map(int, address.partition(":")[0].split("."))
    return (high - 1 << 16) + (middle << 8) + low


@contextmanager
def serving(fleet: Fleet, port: int) -> Iterator[int]:
    """Serve every host in one process inside the block, and yield the id of the process."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(fleet, port, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(_START_SECONDS) or ours.recv() != "listening":
            raise RuntimeError(f"the simulated hosts do not listen on port {port}; is it in use?")
        yield process.pid or 0
    finally:
        process.terminate()
        process.join()
        for end in (ours, theirs):
            end.close()


def _serve(fleet: Fleet, port: int, started: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_listen(fleet, port, started))


async def _listen(fleet: Fleet, port: int, started: Connection) -> None:
    """Serve until the parent ends."""
    parent = os.getppid()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")  # loopback only, with all its addresses
        listener.bind(("0.0.0.0", port))
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: _Scrapes(fleet), sock=listener, backlog=4096):
            started.send("listening")
            while os.getppid() == parent:  # noqa: ASYNC110  no event reports the end of a parent
                await asyncio.sleep(1.0)


class _Scrapes(asyncio.Protocol):
    """One connection: answers each request with the page of the host that the client addressed."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._received = fleet, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find the host."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._host = transport, host_of(transport.get_extra_info("sockname")[0])

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are complete; none has a body."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            body = self._fleet.text(self._host, round(time.time(), 4))  # servers store 15 digits
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            if b"gzip" in request:
                body, head = gzip.compress(body, compresslevel=4, mtime=0), head + b"Content-Encoding: gzip\r\n"
            self._transport.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _parsed(line: str) -> Sample | None:
    """Return the sample of a line, None for a comment or an empty line."""
    found = None if line.startswith("#") else _LINE.fullmatch(line)
    if found is None:
        return None
    return Sample(found["name"], dict(_LABEL.findall(found["labels"] or "")), float(found["value"]))


def _matrix(rows: Mapping[int, np.ndarray]) -> np.ndarray:
    return np.array(list(rows.values()))


def _mean_watts(device: str, domain: str) -> float:
    if device.startswith("GPU"):
        return _GPU_WATTS
    return _DRAM_WATTS if domain == "dram" else _CPU_WATTS


def _uniform(host: int, channels: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1 that look random, the same for the same host, channel and step (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = channels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = mixed + np.uint64(host * 0xBF58476D1CE4E5B9 % 2**64)
        mixed = mixed + np.asarray(step).astype(np.uint64) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(11)).astype(float) / 2.0**53
