"""Installs and removes the systemd service, and reports its state."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.config import LISTEN, ConfigError, load
from agent.install.drop_ins import drop_in_states, enabled, remove_drop_ins, write_drop_ins
from agent.install.files import Action, Change, FileStatus, file_status, remove, write
from agent.install.python_env import quoted
from probes.cpu.library import SYSTEM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.install.drop_ins import FamilyFiles

    Run = Callable[[tuple[str, ...]], "subprocess.CompletedProcess[str]"]

UNIT: Final = "inferometer.service"
GROUP: Final = "inferometer"
CONFIG: Final = "etc/inferometer/config.toml"

PLACES: Final = (
    (UNIT, "etc/systemd/system/inferometer.service"),
    ("inferometer.sysusers.conf", "etc/sysusers.d/inferometer.conf"),
    ("inferometer.tmpfiles.conf", "etc/tmpfiles.d/inferometer.conf"),
    ("60-inferometer.rules", "etc/udev/rules.d/60-inferometer.rules"),
    ("config.toml", CONFIG),
)
"""The files that install writes: the name in files_folder(), and the path below the root."""
_FOLDERS: Final = ("etc/inferometer", "var/lib/inferometer")  # removed by a purge only
_ENABLED_LINK: Final = "etc/systemd/system/multi-user.target.wants/inferometer.service"
_STORED_PROGRAM: Final = "/usr/local/bin/inferometerd"
_STORED_COMMAND: Final = "/usr/local/bin/inferometer "
_NOT_FOUND: Final = 127  # the exit code of a shell for an unknown command
_HEALTH_TIMEOUT_SECONDS: Final = 2.0
_REALM: Final = 'realm="inferometer"'


class ServiceError(Exception):
    """A command that the installation needs failed; the message has the command and its output."""


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of one file of the service."""

    path: str
    status: FileStatus


@dataclass(frozen=True, slots=True)
class Health:
    """The response of the daemon at `url`; `ok` means status 200."""

    url: str
    ok: bool
    answer: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of the service; `active` and `enabled` are the words of systemctl, None without systemd.

    `families` are those for which the unit is opened. `health` is None if the daemon was not asked. Without systemd,
    `running` means that the daemon responds.
    """

    installed: bool
    running: bool
    active: str | None
    enabled: str | None
    health: Health | None
    files: tuple[FileState, ...]
    families: tuple[str, ...] = ()


def files_folder() -> Path:
    """Return the folder of the service's files: within the installed package, or in the checkout."""
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


def write_files(root: Path, program: Path, families: Sequence[FamilyFiles] = ()) -> tuple[Change, ...]:
    """Write the service's files below `root`, with those of `families`; an existing configuration is not changed."""
    own = tuple(write(root, place, text, keep=place == CONFIG) for place, text in _texts(program))
    return (*own, *write_drop_ins(root, families))


def remove_files(root: Path, *, purge: bool) -> tuple[Change, ...]:
    """Remove the service's files below `root`, with configuration and database only if `purge`."""
    places = [place for _, place in PLACES if place != CONFIG]
    changes = [*remove_drop_ins(root), *(remove(root / place) for place in (*places, _ENABLED_LINK))]
    folders = [root / place for place in _FOLDERS if purge or (root / place).exists()]
    changes += [remove(folder) if purge else Change(str(folder), Action.KEPT) for folder in folders]
    return tuple(change for change in changes if change)


def is_installed(root: Path) -> bool:
    """Return whether the unit file exists below `root`."""
    return (root / PLACES[0][1]).exists()


def systemd_runs() -> bool:
    """Return whether systemd is the init process of this machine, like sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def run_command(argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a system command and return its output; a fixed PATH keeps root from running another user's program."""
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        return subprocess.CompletedProcess(argv, _NOT_FOUND, "", f"{argv[0]}: {error.strerror}")


def activate(*, start: bool, families: Sequence[FamilyFiles] = (), run: Run = run_command) -> tuple[str, ...]:
    """Create user and folders, load the unit and the udev rules, enable the service, and (re)start it if `start`.

    Returns the failures of udev, which do not prevent the installation. Raises ServiceError on any other failure.
    """
    _run_required(run, "systemd-sysusers", "/etc/sysusers.d/inferometer.conf")
    opened = [file for each in families for file in each.tmpfiles]
    _run_required(run, "systemd-tmpfiles", "--create", "/etc/tmpfiles.d/inferometer.conf", *opened)
    _run_required(run, "systemctl", "daemon-reload")
    subsystems = dict.fromkeys(("powercap", "hwmon", *(name for each in families for name in each.subsystems)))
    failure = _run_optional(run, "udevadm", "control", "--reload") or _run_optional(
        run, "udevadm", "trigger", "--settle", *(f"--subsystem-match={name}" for name in subsystems)
    )
    _run_required(run, "systemctl", "enable", UNIT)
    if start:
        _run_required(run, "systemctl", "restart", UNIT)
    return (f"{failure}\nThe service may not be able to read the energy counters of the CPU.",) if failure else ()


def deactivate(*, run: Run = run_command) -> str:
    """Stop and disable the service before its files are removed; return the failure, empty if there is none."""
    return _run_optional(run, "systemctl", "disable", "--now", UNIT)


def reload_units(*, run: Run = run_command) -> str:
    """Reload systemd after the removal of the files; return the failure. udev reloads automatically."""
    return _run_optional(run, "systemctl", "daemon-reload")


def close_counters(sysfs: Path, group: str = GROUP) -> tuple[str, ...]:
    """Revoke the read permission of `group` on energy counters, which the udev rule granted; return the files.

    Each file gets the group of its folder again.
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
    """Run a command; return a sentence about its failure, empty if it succeeded."""
    done = run(argv)
    if done.returncode == 0:
        return ""
    return f"`{' '.join(argv)}` failed with status {done.returncode}: {(done.stderr or done.stdout).strip()}"


def _run_required(run: Run, *argv: str) -> None:
    if failure := _run_optional(run, *argv):
        raise ServiceError(failure)


def service_state(root: Path, program: Path, *, run: Run | None, health: Health | None) -> ServiceState:
    """Return the state of the service below `root`; `run` runs systemctl, None without systemd."""
    found = [(place, file_status(root / place, text)) for place, text in _texts(program)]
    found += drop_in_states(root, root / CONFIG)
    files = tuple(FileState(str(root / place), status) for place, status in found)
    active = run(("systemctl", "is-active", UNIT)).stdout.strip() or None if run else None
    is_enabled = run(("systemctl", "is-enabled", UNIT)).stdout.strip() or None if run else None
    running = active in ("active", "reloading") if run else health is not None and health.ok
    return ServiceState(is_installed(root), running, active, is_enabled, health, files, enabled(root))


def listen_address(config: Path) -> str:
    """Return the exporter's address in the configuration file, the default if the file cannot be read."""
    try:
        return load(config).listen
    except ConfigError:
        return LISTEN


def hides_processes(root: Path = Path("/")) -> bool:
    """Return whether an installed service does not see the processes of other users, by its unit and its drop-ins."""
    unit = root / dict(PLACES)[UNIT]
    visibility = ""
    for path in (unit, *sorted(unit.with_name(f"{UNIT}.d").glob("*.conf"))):
        with suppress(OSError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            settings = [line.partition("=")[2].strip() for line in lines if line.startswith("ProtectProc=")]
            visibility = settings[-1] if settings else visibility
    return visibility in {"invisible", "noaccess", "ptraceable"}


def reachable_address(listen: str) -> str:
    """Return the address of a daemon at `listen` for requests of this host: loopback if it listens on every address."""
    host, _, port = listen.rpartition(":")
    return f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 -- not bound


def ask_health(listen: str) -> Health:
    """Query the daemon at `listen` (host:port), over loopback if it listens on every address, with TLS if it needs it.

    A daemon that demands a password is healthy.
    """
    address = reachable_address(listen)
    try:
        return _health(HTTPConnection(address, timeout=_HEALTH_TIMEOUT_SECONDS), f"http://{address}/-/healthy")
    except (ConnectionResetError, HTTPException):
        pass  # it may expect TLS
    except OSError as error:
        return Health(f"http://{address}/-/healthy", ok=False, answer=error.strerror or str(error))
    import ssl  # noqa: PLC0415  takes memory

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing secret is sent
    url = f"https://{address}/-/healthy"
    try:
        return _health(HTTPSConnection(address, timeout=_HEALTH_TIMEOUT_SECONDS, context=context), url)
    except (OSError, HTTPException) as error:
        return Health(url, ok=False, answer=getattr(error, "strerror", None) or str(error))


def _health(connection: HTTPConnection, url: str) -> Health:
    with closing(connection):
        connection.request("GET", "/-/healthy")
        response = connection.getresponse()
        asks = _REALM in response.getheader("WWW-Authenticate", "")
        return Health(url, response.status == HTTPStatus.OK or asks, f"{response.status} {response.reason}")
