"""Identifies the processor of this host; the slow answer of py-cpuinfo is stored in the state directory.

The stored answer is valid for one processor and one version of py-cpuinfo. A missing, damaged, foreign or unwritable
file costs a second of CPU time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import default_database
from probes.cpu.library import as_document, library_version, parse_answer, query_library
from probes.cpu.model import completed, parse_cpuinfo
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.cpu.library import LibraryAnswer
    from probes.cpu.model import CpuModel

FILE_NAME = "cpu.json"
_REAL_PROCFS = Path("/proc")
_LARGEST_BYTES = 1 << 16
_FOLDER_MODE = 0o700
_MOVING_FIELDS = ("cpu mhz", "bogomips")


def identify(procfs: str, folder: Path | None) -> CpuModel:
    """Return the processor of the host whose proc file system is at `procfs`.

    py-cpuinfo reads only the real /proc. Its answer is stored in `folder`; with None it is queried every time.
    """
    text = read_text(Path(procfs) / "cpuinfo") or ""
    known = parse_cpuinfo(text)
    if Path(procfs).resolve() != _REAL_PROCFS:
        return known
    key = f"{fingerprint(text)} py-cpuinfo {library_version()}"
    stored = folder and load_answer(folder, key)
    answer = stored or query_library()
    if folder and answer and not stored:
        store_answer(folder, key, answer)
    return completed(known, answer) if answer else known


def fingerprint(cpuinfo: str) -> str:
    """Return a hash of /proc/cpuinfo's text that changes with the processor, not with its clock."""
    steady = (line for line in cpuinfo.splitlines() if not line.lower().startswith(_MOVING_FIELDS))
    return hashlib.sha256("\n".join(steady).encode()).hexdigest()


def state_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the state directory: systemd's for the service, else the user's own; None for a user without a home."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    with suppress(KeyError, ValueError):
        return Path(default_database(environment)).parent
    return None


def load_answer(folder: Path, key: str) -> LibraryAnswer | None:
    """Return the answer stored in `folder` under `key`, None if there is none that this user can trust."""
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(_read(folder / FILE_NAME))
        if isinstance(document, dict) and document.get("key") == key:
            return parse_answer(document.get("answer"))
    return None


def store_answer(folder: Path, key: str, answer: LibraryAnswer) -> None:
    """Replace the stored answer atomically, unless the folder belongs to another user or cannot be written."""
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    text = json.dumps({"key": key, "answer": as_document(answer)})
    with suppress(OSError):
        if not _is_own_folder(folder):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(folder / FILE_NAME)
        finally:
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> str:
    """Return the text of a small regular file of this user or root. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            raise PermissionError(f"{path}: not a regular file of this user")
        return file.read(_LARGEST_BYTES).decode()


def _is_own_folder(folder: Path) -> bool:
    """Return whether only this user can change the folder. A missing one is created below a folder of this user."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not _is_own(nearest):
        return False
    folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    return _is_own(folder)


def _is_own(folder: Path) -> bool:
    status = folder.stat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH
