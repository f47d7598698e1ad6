"""Queries py-cpuinfo in a child process with a fixed environment, for facts that /proc/cpuinfo omits.

py-cpuinfo runs lscpu, dmesg, sysctl and others by bare name, so the child gets the system's own PATH and nothing of the
caller's environment. The query costs about a second of CPU time: callers store its answer.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from probes.text import one_line

SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Only root can write to these folders."""
_ENVIRONMENT: Final = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"}
_TIMEOUT_SECONDS = 30.0
_MAX_FLAGS = 4096
_TEXT_FIELDS = ("vendor_id_raw", "brand_raw", "arch_string_raw")


@dataclass(frozen=True, slots=True)
class LibraryAnswer:
    """The facts that py-cpuinfo reports; empty where it reports none."""

    vendor: str = ""
    brand: str = ""
    architecture: str = ""
    flags: tuple[str, ...] = ()


def parse_answer(document: object) -> LibraryAnswer | None:
    """Return the facts of a decoded JSON answer, None if a field has an unexpected type."""
    if not isinstance(document, dict):
        return None
    texts = [document.get(name, "") for name in _TEXT_FIELDS]
    flags = document.get("flags", [])
    if not isinstance(flags, list) or len(flags) > _MAX_FLAGS or not all(isinstance(each, str) for each in flags):
        return None
    if not all(isinstance(text, str) for text in texts):
        return None
    vendor, brand, architecture = map(one_line, texts)
    return LibraryAnswer(vendor, brand, architecture, tuple(map(one_line, flags)))


def as_document(answer: LibraryAnswer) -> dict[str, object]:
    """Return the document that `parse_answer` turns back into `answer`."""
    texts = (answer.vendor, answer.brand, answer.architecture)
    return {**dict(zip(_TEXT_FIELDS, texts, strict=True)), "flags": list(answer.flags)}


def library_version() -> str:
    """Return the installed version of py-cpuinfo, empty without one."""
    try:
        return version("py-cpuinfo")
    except PackageNotFoundError:
        return ""


@functools.cache
def query_library() -> LibraryAnswer | None:
    """Return the answer of py-cpuinfo, None if it fails, hangs or is not installed."""
    package = find_spec("cpuinfo")  # located, not imported: the import itself runs programs
    if package is None or not package.submodule_search_locations:
        return None
    script = Path(package.submodule_search_locations[0]) / "cpuinfo.py"
    return _query((sys.executable, "-I", str(script), "--json"))


def _query(command: tuple[str, ...]) -> LibraryAnswer | None:
    """Run a command that prints the answer as JSON. It is killed with its children after the timeout."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return None
    with child:
        try:
            output, _ = child.communicate(timeout=_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still the child's
            return None
    try:
        return parse_answer(json.loads(output))
    except (ValueError, RecursionError):
        return None
