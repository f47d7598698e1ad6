"""A kernel with performance counters: it records every request, and counts what a test sets."""

from __future__ import annotations

import os
import struct

from probes.perf_events import PerfSystem


class FakePerf(PerfSystem):
    """`counts` maps (type, config, CPU) to the count since the boot; `requests` are those keys in order."""

    def __init__(self):
        self.counts = {}
        self.requests = []
        self.attributes = []
        self.refusal: OSError | None = None
        self.failure: OSError | None = None
        self.answer: bytes | None = None
        self._opened = {}

    def open(self, attributes, cpu):
        if self.refusal:
            raise self.refusal
        pmu_type, _, config = struct.unpack_from("=IIQ", attributes)
        key = (pmu_type, config, cpu)
        self.requests.append(key)
        self.attributes.append(attributes)
        descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._opened[descriptor] = key, self.counts.setdefault(key, 0)
        return descriptor

    def read(self, descriptor):
        if self.failure:
            raise self.failure
        if self.answer is not None:
            return self.answer
        key, start = self._opened[descriptor]
        return struct.pack("=Q", (self.counts[key] - start) % 2**64)
