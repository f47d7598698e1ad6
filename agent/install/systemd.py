"""Installs the systemd service, takes it away again, and says how it stands."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.config import LISTEN, ConfigError, load
from agent.install.files import Action, Change, FileStatus, presence, remove, write
from agent.install.python_env import quoted
from probes.cpu.library import SYSTEM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[[tuple[str, ...]], "subprocess.CompletedProcess[str]"]

UNIT: Final = "inferometer.service"
GROUP: Final = "inferometer"
CONFIG: Final = "etc/inferometer/config.toml"

# What install writes: the file of files_folder(), and its place below the root.
PLACES: Final = (
    (UNIT, "etc/systemd/system/inferometer.service"),
    ("inferometer.sysusers.conf", "etc/sysusers.d/inferometer.conf"),
    ("inferometer.tmpfiles.conf", "etc/tmpfiles.d/inferometer.conf"),
    ("60-inferometer.rules", "etc/udev/rules.d/60-inferometer.rules"),
    ("config.toml", CONFIG),
)
_FOLDERS: Final = ("etc/inferometer", "var/lib/inferometer")  # what only a purge removes
_ENABLED_LINK: Final = "etc/systemd/system/multi-user.target.wants/inferometer.service"
_STORED_PROGRAM: Final = "/usr/local/bin/inferometerd"
_STORED_COMMAND: Final = "/usr/local/bin/inferometer "
_NOT_FOUND: Final = 127  # the status a shell gives for a command it cannot find
_HEALTH_TIMEOUT_SECONDS: Final = 2.0


class ServiceError(Exception):
    """A command that the service cannot do without failed; the message names it and what it said."""


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of the service, and how it stands."""

    path: str
    presence: FileStatus


@dataclass(frozen=True, slots=True)
class Health:
    """What the daemon answered at `url`; `ok` where that was a status of 200."""

    url: str
    ok: bool
    answer: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How the service stands; `active` and `enabled` are systemctl's words, None where systemd gave none.

    `health` is None where the daemon was not asked. A service that systemd does not keep runs if it answers.
    """

    installed: bool
    running: bool
    active: str | None
    enabled: str | None
    health: Health | None
    files: tuple[FileState, ...]


def files_folder() -> Path:
    """Return the folder of the unit and its companions: inside the installed package, or that of a checkout."""
    here = Path(__file__).parent.parent
    packaged = here / "systemd"
    return packaged if packaged.is_dir() else here.parent / "systemd"


def unit_text(program: Path) -> str:
    """Return the unit that starts `program`, and before it the `inferometer` beside it. Raises ValueError."""
    text = (files_folder() / UNIT).read_text(encoding="utf-8").replace(_STORED_PROGRAM, quoted(program))
    return text.replace(_STORED_COMMAND, f"{quoted(program.with_name('inferometer'))} ")


def _texts(program: Path) -> Iterator[tuple[str, str]]:
    for name, place in PLACES:
        yield place, unit_text(program) if name == UNIT else (files_folder() / name).read_text(encoding="utf-8")


def write_files(root: Path, program: Path) -> tuple[Change, ...]:
    """Write the service's files below `root`; a configuration that is there stays as it is."""
    return tuple(write(root, place, text, keep=place == CONFIG) for place, text in _texts(program))


def remove_files(root: Path, *, purge: bool) -> tuple[Change, ...]:
    """Remove what `write_files` wrote below `root`; the configuration and the database only if `purge`."""
    places = [place for _, place in PLACES if place != CONFIG]
    changes = [remove(root / place) for place in (*places, _ENABLED_LINK)]
    folders = [root / place for place in _FOLDERS if purge or (root / place).exists()]
    changes += [remove(folder) if purge else Change(str(folder), Action.KEPT) for folder in folders]
    return tuple(change for change in changes if change)


def is_installed(root: Path) -> bool:
    """Whether the unit is in place below `root`."""
    return (root / PLACES[0][1]).exists()


def systemd_runs() -> bool:
    """Whether systemd is this machine's init, found out as sd_booted(3) does."""
    return Path("/run/systemd/system").is_dir()


def run_command(argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a system command to its end and return its output; root must not run a program of another user's PATH."""
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        return subprocess.CompletedProcess(argv, _NOT_FOUND, "", f"{argv[0]}: {error.strerror}")


def activate(*, start: bool, run: Run = run_command) -> tuple[str, ...]:
    """Make the user and the folders, load the unit and the rule, enable the service, and start it if `start`.

    One that runs is started anew, so that what runs is what was installed. Returns what failed without standing in the
    way, which is udev's part. Raises ServiceError on any other failure.
    """
    _run_required(run, "systemd-sysusers", "/etc/sysusers.d/inferometer.conf")
    _run_required(run, "systemd-tmpfiles", "--create", "/etc/tmpfiles.d/inferometer.conf")
    _run_required(run, "systemctl", "daemon-reload")
    failure = _run_optional(run, "udevadm", "control", "--reload") or _run_optional(
        run, "udevadm", "trigger", "--settle", "--subsystem-match=powercap", "--subsystem-match=hwmon"
    )
    _run_required(run, "systemctl", "enable", UNIT)
    if start:
        _run_required(run, "systemctl", "restart", UNIT)
    return (f"{failure}\nThe energy counters of the CPU may stay closed to the service.",) if failure else ()


def deactivate(*, run: Run = run_command) -> str:
    """Stop and disable the service, before its files are removed; return what failed, empty if nothing did."""
    return _run_optional(run, "systemctl", "disable", "--now", UNIT)


def reload_units(*, run: Run = run_command) -> str:
    """Have systemd forget the files that were removed; return what failed. udev notices by itself."""
    return _run_optional(run, "systemctl", "daemon-reload")


def close_counters(sysfs: Path, group: str = GROUP) -> tuple[str, ...]:
    """Take from `group` the right to read energy counters that the udev rule gave it; return the files closed.

    Each file goes back to the group of its folder.
    """
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return ()
    patterns = ("class/powercap/*/energy_uj", "class/hwmon/*/energy*_input", "class/hwmon/*/power*_input")
    opened = [file for pattern in patterns for file in sysfs.glob(pattern) if file.stat().st_gid == number]
    for file in opened:
        file.chmod(stat.S_IMODE(file.stat().st_mode) & ~stat.S_IRGRP)
        os.chown(file, -1, file.parent.stat().st_gid)
    return tuple(str(file) for file in opened)


def _run_optional(run: Run, *argv: str) -> str:
    """Run a command; return what to say of its failure, nothing if it went well."""
    done = run(argv)
    if done.returncode == 0:
        return ""
    return f"`{' '.join(argv)}` failed with status {done.returncode}: {(done.stderr or done.stdout).strip()}"


def _run_required(run: Run, *argv: str) -> None:
    if failure := _run_optional(run, *argv):
        raise ServiceError(failure)


def service_state(root: Path, program: Path, *, run: Run | None, health: Health | None) -> ServiceState:
    """Return how the service stands whose files are below `root`; systemd is asked through `run`, if there is one."""
    files = tuple(FileState(str(root / place), presence(root / place, text)) for place, text in _texts(program))
    active = run(("systemctl", "is-active", UNIT)).stdout.strip() or None if run else None
    enabled = run(("systemctl", "is-enabled", UNIT)).stdout.strip() or None if run else None
    running = active in ("active", "reloading") if run else health is not None and health.ok
    return ServiceState(is_installed(root), running, active, enabled, health, files)


def listen_address(config: Path) -> str:
    """Return where the exporter listens by the configuration at `config`, the default if that cannot be read."""
    try:
        return load(config).listen
    except ConfigError:
        return LISTEN


def ask_health(listen: str) -> Health:
    """Ask the daemon that listens on `listen` (host:port; one that listens everywhere is asked over loopback)."""
    host, _, port = listen.rpartition(":")
    address = f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 -- not bound
    url = f"http://{address}/-/healthy"
    try:
        connection = HTTPConnection(address, timeout=_HEALTH_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/-/healthy")
            response = connection.getresponse()
            return Health(url, response.status == HTTPStatus.OK, f"{response.status} {response.reason}")
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        return Health(url, ok=False, answer=getattr(error, "strerror", None) or str(error))
