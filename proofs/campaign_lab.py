"""Hosts of a proof as namespaces of this machine: each has its own network, name, processes, machine id and sensors.

The head has a network that reaches all of them, and none else. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import fake_nvml
from moving_counters import advancing_counters
from trees import powercap_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INFEROMETER = Path(sys.executable).with_name("inferometer")
HEAD = "10.77.0.1"
_ZONE = "intel-rapl:0"
_SLEEP = """
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest) {
  return syscall(SYS_clock_nanosleep, clock, flags, request, rest) ? errno : 0;
}
"""
"""Sleeps by the system call: faketime 0.9.10 refuses absolute times of a monotonic clock that it does not change."""
_SETUP_SECONDS = 30.0


@dataclass(slots=True)
class Node:
    """A host: `init` is the process that ends with it, `pid` the first process inside."""

    number: int
    folder: Path
    gpu: bool = True
    clock_seconds: float = 0.0
    init: subprocess.Popen[bytes] | None = None
    pid: int = 0

    @property
    def name(self) -> str:
        """The name of the host."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """The address in the network of the lab."""
        return f"10.77.{self.number}.2"

    @property
    def watts(self) -> float:
        """The constant power of its package."""
        return 20.0 + 10.0 * self.number

    @property
    def total_watts(self) -> float:
        """The constant power of the host, by which its profiles are recognized."""
        return self.watts + fake_nvml.H100.watts * self.gpu

    def inside(self, *words: object) -> list[str]:
        """Return a command that runs inside the host."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--net", "--pid", "--", *map(str, words)]

    def power_off(self) -> None:
        """End every process of the host at once."""
        if self.init is not None:
            self.init.kill()
            self.init.wait()


@dataclass(slots=True)
class Lab:
    """The head's side, with programs that are mounted over /usr, and the nodes."""

    folder: Path
    programs: Sequence[Path]
    nodes: list[Node]
    pid: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def program(self) -> Path:
        """The path of inferometer on every node; each node has its own behind it."""
        return self.folder / "bin/inferometer"

    @property
    def state(self) -> Path:
        """The path of the stores on every node; each node has its own behind it."""
        return self.folder / "state"

    def inside(self, *words: object) -> list[str]:
        """Return a command that runs on the head."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--net", "--", *map(str, words)]

    def start(self, name: str, command: Sequence[str], **variables: str) -> subprocess.Popen[bytes]:
        """Start a program until the end of the lab; its output is in the file `name`.log."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **variables},
                preexec_fn=_end_with_parent,  # noqa: PLW1509  no thread of the proof runs then
            )
        self.stack.callback(_end, process)
        return process


@contextmanager
def lab(folder: Path, programs: Sequence[Path], nodes: Sequence[Node], faketime: Path | None = None) -> Iterator[Lab]:
    """Make the hosts, and end them with the block."""
    if os.geteuid():
        raise SystemExit("the hosts of this proof are namespaces: run it as root")
    made = Lab(folder, programs, list(nodes))
    with made.stack:
        _make_head(made)
        if any(node.clock_seconds for node in nodes):
            compiler = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / "sleep.so")]
            subprocess.run(compiler, input=_SLEEP, text=True, check=True)
        gpus = folder / "gpus"
        gpus.mkdir()
        library = fake_nvml.build(gpus)
        fake_nvml.write_state(library, [fake_nvml.H100])
        for node in made.nodes:
            _make_node(made, node, library, faketime)
        first = nodes[0].folder / "sys"
        others = {f"../../../../{node.name}/sys/class/powercap/{_ZONE}": node.watts for node in nodes}
        made.stack.enter_context(advancing_counters(first, others))
        yield made


def _make_head(made: Lab) -> None:
    (made.folder / "bin").mkdir()
    made.program.write_text("", encoding="utf-8")
    made.program.chmod(0o755)
    made.state.mkdir()
    lower = ":".join([*(str(root / "usr") for root in made.programs), "/usr"])
    steps = (
        ("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower}", "/usr"),
        ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ("mkdir", "-p", "/run/sshd", "/run/munge"),
        ("hostname", "head"),
        ("ip", "link", "set", "lo", "up"),
        ("ip", "address", "add", f"{HEAD}/32", "dev", "lo"),
    )
    ready = made.folder / "head.ready"
    process = made.start("head", ["unshare", "--mount", "--uts", "--net", *_sleeping(ready, steps)])
    _wait_for(ready, process, made.folder / "head.log")
    made.pid = process.pid


def _make_node(made: Lab, node: Node, library: Path, faketime: Path | None) -> None:
    node.folder.mkdir()
    (node.folder / "state").mkdir()
    for name in ("machine-id", "passwd", "shadow", "program"):
        (node.folder / name).write_text(_text(name, made, node, library, faketime), encoding="utf-8")
    (node.folder / "program").chmod(0o755)
    powercap_zone(node.folder / "sys", _ZONE, "package-0", 1_000_000)
    bound = {name: f"/etc/{name}" for name in ("machine-id", "passwd", "shadow")}
    bound.update({"program": str(made.program), "state": str(made.state)})
    steps = (
        ("hostname", node.name),
        *(("mount", "--bind", str(node.folder / name), place) for name, place in bound.items()),
        ("ip", "link", "set", "lo", "up"),
    )
    isolated = ("unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    ready = node.folder / "ready"
    node.init = made.start(node.name, made.inside(*isolated, *_sleeping(ready, steps)))
    _wait_for(ready, node.init, made.folder / f"{node.name}.log")
    node.pid = int(Path(f"/proc/{node.init.pid}/task/{node.init.pid}/children").read_text(encoding="ascii").split()[0])
    near, link = f"10.77.{node.number}.1", f"veth{node.number}"
    for line in (
        made.inside("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", node.pid),
        made.inside("ip", "address", "add", near, "peer", node.address, "dev", link),
        made.inside("ip", "link", "set", link, "up"),
        node.inside("ip", "address", "add", node.address, "peer", near, "dev", "eth0"),
        node.inside("ip", "link", "set", "eth0", "up"),
        node.inside("ip", "route", "add", "default", "via", near),
    ):
        subprocess.run(line, check=True, timeout=_SETUP_SECONDS)


def _text(name: str, made: Lab, node: Node, library: Path, faketime: Path | None) -> str:
    """Return a file of a node: its identity, its users, or its inferometer with its sensors and its clock."""
    if name == "machine-id":
        return f"{node.number:032x}\n"
    if name == "passwd":
        return f"{Path('/etc/passwd').read_text(encoding='utf-8')}sshd:x:990:65534::/run/sshd:/usr/sbin/nologin\n"
    if name == "shadow":
        return "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n"
    gpu = library if node.gpu else "/nowhere/libnvidia-ml.so.1"
    lines = [
        f"export XDG_STATE_HOME={made.state}",
        f"export INFEROMETER_PATH_SYSFS={node.folder / 'sys'} INFEROMETER_PATH_NVML_LIBRARY={gpu}",
    ]
    if node.clock_seconds:
        lines.append(f"export LD_PRELOAD='{made.folder}/sleep.so {faketime}'")
        lines.append(f"export FAKETIME={node.clock_seconds:+g} FAKETIME_DONT_FAKE_MONOTONIC=1")
    return "\n".join(("#!/bin/sh", *lines, f'exec {INFEROMETER} "$@"\n'))


def _sleeping(ready: Path, steps: Sequence[Sequence[str]]) -> list[str]:
    """Return a command that does steps, makes a file, and waits."""
    script = " && ".join((*map(shlex.join, steps), f"touch {shlex.quote(str(ready))}", "exec sleep infinity"))
    return ["sh", "-c", script]


def _wait_for(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SETUP_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"a host of the lab cannot be made:\n{log.read_text(encoding='utf-8')[-1000:]}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
