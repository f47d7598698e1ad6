"""Runs the command in forks of a process that has imported the program once: most of a command's time is imports.

A fork is a process of its own, with the arguments, folder, environment, streams, session and signals of a new one.
Commands whose Python starts with other variables are forks of other servers. Tests of the start itself, of libraries
that are loaded before Python, and of other users start a new Python instead.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BEFORE_PYTHON = ("PYTHON", "LC_", "LANG")
"""The variables that Python reads at its start."""
_BEFORE_EVERYTHING = "LD_"
"""The variables that act before Python."""
_FORKED = {"cwd", "text", "stdin", "stdout", "stderr"}
"""The arguments of a process that a fork can have."""
_LARGEST_REQUEST = 1 << 20
_ROOT = str(Path(__file__).parent.parent)
_SENDING = Lock()
"""Held while a server may be started, as tests run commands in threads."""


def start(line: Sequence[str], env: Mapping[str, str], fresh: bool = False, **more: Any) -> subprocess.Popen[Any]:
    """Start a command in a new session: in a fork if that is the same, in a new Python otherwise or if `fresh`."""
    names = {name for name in env.keys() | os.environ.keys() if name.startswith(_BEFORE_EVERYTHING)}
    as_here = env.get("PYTHONPATH") == _ROOT and all(env.get(name) == os.environ.get(name) for name in names)
    same = not fresh and more.keys() <= _FORKED and as_here
    return (Fork if same else subprocess.Popen)(line, env=env, start_new_session=True, **more)


class Fork(subprocess.Popen[Any]):
    """A command in a fork, in a session of its own; it takes `cwd`, `env`, `text`, and the three streams."""

    def _execute_child(
        self, args: Sequence[str], _executable: object, _preexec: object, _close: object, _pass: object, cwd: object,
        env: Mapping[str, str], *more: Any,
    ) -> None:  # fmt: skip
        pipes = more[3:9]  # the ends of the three streams; -1 is the stream of this process
        streams = [number if given == -1 else given for number, given in enumerate((pipes[0], pipes[3], pipes[5]))]
        request = json.dumps({"words": list(args), "folder": str(cwd), "environment": dict(env)}).encode()
        self._monitor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before_python = frozenset((name, word) for name, word in env.items() if name.startswith(_BEFORE_PYTHON))
        try:
            with theirs, _SENDING:
                socket.send_fds(_server(before_python).requests, [request], [*streams, theirs.fileno()])
            self.pid = int(self._monitor.recv(16))
        except (OSError, ValueError):
            self._monitor.close()
            raise
        self._close_pipe_fds(*pipes)

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code of the process when it has ended; raises TimeoutExpired."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._monitor.settimeout(timeout)
            try:
                self.returncode = int(self._monitor.recv(16))
            except (BlockingIOError, TimeoutError):
                return None
            except (OSError, ValueError):  # the server has ended
                self._monitor.close()
                raise
            with self._monitor:
                self._monitor.settimeout(None)
                self._monitor.send(b".")
                self._monitor.recv(1)  # until the process is reaped, like that of any parent
        return self.returncode


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    requests: socket.socket


_SERVERS: dict[frozenset[tuple[str, str]], _Server] = {}
"""The servers of this process, which end with it, by the variables with which their Python started."""


def _server(before_python: frozenset[tuple[str, str]]) -> _Server:
    """Return the server of these variables, which is started by the first command that needs it."""
    if before_python not in _SERVERS:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        others = {name: word for name, word in os.environ.items() if not name.startswith(_BEFORE_PYTHON)}
        line = [sys.executable, "-P", __file__, str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                line, cwd="/", env={**others, **dict(before_python)}, pass_fds=[theirs.fileno()], start_new_session=True
            )
        _SERVERS[before_python] = _Server(process, ours)
    return _SERVERS[before_python]


def stop() -> None:
    """End the servers; a command that still runs is not waited for."""
    for server in _SERVERS.values():
        server.requests.close()
        server.process.wait()


def _serve(requests: socket.socket) -> None:
    """Fork a monitor for each request until the tests end."""
    _import_program()
    monitors: list[int] = []
    while (received := socket.recv_fds(requests, _LARGEST_REQUEST, 4))[0]:
        request, files, _, _ = received
        monitors = [pid for pid in monitors if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        monitors.append(os.fork())
        if not monitors[-1]:
            requests.close()
            _monitor(json.loads(request), files[:3], files[3])
        for file in files:
            os.close(file)


def _import_program() -> None:
    import gc
    import pkgutil
    from importlib import import_module

    import agent
    from agent.cli import main

    for module in pkgutil.walk_packages(agent.__path__, "agent."):
        if module.name != "agent.cli.entry" and not module.name.startswith("agent.workloads."):
            import_module(module.name)
    for name in (None, *main.COMMANDS):
        main._parser(name)
    gc.freeze()  # the forks share these objects


def _monitor(request: dict[str, Any], streams: list[int], caller: int) -> None:
    """Run the command, report its exit code, and reap it when the caller has read that."""
    child = os.fork()
    if not child:
        _become(request["words"], request["folder"], request["environment"], streams, caller)
    for stream in streams:
        os.close(stream)
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert ended
    with suppress(BrokenPipeError):  # the tests may have ended
        os.write(caller, b"%d" % (ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
        os.read(caller, 1)
    os.waitpid(child, 0)
    os._exit(0)


def _become(words: list[str], folder: str, environment: dict[str, str], streams: list[int], caller: int) -> None:
    """Turn this fork into `python -m MODULE ARGUMENT...`; never returns."""
    import runpy

    os.setsid()
    os.write(caller, b"%d" % os.getpid())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        line_by_line, first = name == "stderr" or os.isatty(number), getattr(sys, name)
        stream = open(  # noqa: SIM115  for the life of the process
            number, "w" if number else "r", 1 if line_by_line else -1, first.encoding, first.errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.orig_argv, sys.argv = words, words[2:]
    sys.path.insert(0, folder)
    try:
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    except BaseException:  # noqa: BLE001  printed as Python does at its end
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)  # the program ends by itself


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
