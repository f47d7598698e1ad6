"""Runs a program that ends with this process, and with it every process that it started, even after SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_SUPERVISE = """
import ctypes, os, select, signal, subprocess, sys, time

GRACE_SECONDS = 5.0

def descendants():
    children = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                parent = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    found, waiting = [], [os.getpid()]
    while waiting:
        own = children.get(waiting.pop(), [])
        found += own
        waiting += own
    return found

def send(number, processes):
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass

def end(child):
    send(signal.SIGTERM, [child.pid])
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    while left := descendants():
        send(signal.SIGKILL, left)
        while True:
            try:
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
        time.sleep(0.02)

ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: processes in sessions of their own stay descendants
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
while child.poll() is None:
    if select.select([0], [], [], 0.2)[0] and not os.read(0, 1):
        end(child)
        sys.exit(1)
sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
"""


@contextmanager
def leashed(
    argv: Sequence[str], output: IO[bytes], variables: Mapping[str, str], held: Collection[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the background, and end it with the block or with this process; `output` gets what it prints.

    It is in a session of its own, so that Ctrl-C does not reach it. Its supervisor inherits the descriptors `held`, and
    ends when the program and its descendants have ended. Raises OSError.
    """
    command = (sys.executable, "-I", "-S", "-c", _SUPERVISE, *argv)
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(variables),
        start_new_session=True,
        pass_fds=held,
    )
    with child:
        try:
            yield child
        finally:
            if child.stdin is not None:
                child.stdin.close()  # the supervisor ends the program
            child.wait()
