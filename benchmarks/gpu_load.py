"""Loads a GPU from a process of its own: multiplications of matrices, copies of memory, or pulses of either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

LOAD = """
import json, sys, time
try:
    import torch
    print(torch.__version__, flush=True)
except ImportError as error:
    print(error, flush=True)
    raise SystemExit(1)
size, rounds = 8192, 0
for line in sys.stdin:
    name, seconds = line.split()
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    b, c = torch.randn_like(a), torch.empty_like(a)
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda") if name == "copy" else None
    target = torch.empty_like(source) if name == "copy" else None
    torch.cuda.synchronize()
    print("begun", flush=True)
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < float(seconds):
        if name == "copy":
            for _ in range(20):
                target.copy_(source)
                rounds += 1
        else:
            for _ in range(10):
                torch.matmul(a, b, out=c)
                rounds += 1
        torch.cuda.synchronize()
        if name == "pulses":
            time.sleep(0.05)
    took = time.perf_counter() - began
    work = {"copy": 2.0 * (1 << 30)}.get(name, 2.0 * size**3)
    print(json.dumps({"rounds": rounds, "seconds": took, "per_second": rounds * work / took}), flush=True)
"""
"""Reads lines of "name seconds", and prints the rate of each load: operations or bytes a second."""


class Load:
    """The process that runs `LOAD`."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._version = ""

    def begin(self, name: str, seconds: float) -> dict[str, Any]:
        """Start a load; it runs when this returns. Raises RuntimeError if the process ended."""
        self._version = self._version or self._line()
        assert self._child.stdin is not None
        self._child.stdin.write(f"{name} {seconds:g}\n")
        self._child.stdin.flush()
        if (answer := self._line()) != "begun":
            raise RuntimeError(f"the load did not start: {answer!r} ({self._version})")
        return {"torch": self._version}

    def end(self) -> str:
        """Wait for the end of the load; return its rate as JSON text."""
        return self._line()

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()
