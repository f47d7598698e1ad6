"""The user's own files, and checks of the paths in a configuration."""

from __future__ import annotations

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from agent.config.errors import ConfigError
from agent.runtime.path_walk import ForeignLinkError, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.record import Config
    from probes.model import Roots

_URL = re.compile(r"(\w[\w+]*):/(//)?", re.ASCII)


def default_database(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the user's own database, by the XDG base directory specification; empty without a home."""
    folder = _user_folder(environment, "XDG_STATE_HOME", ".local/state")
    return str(folder / "inferometer.db") if folder else ""


def default_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the user's own configuration file, None if there is none. Raises ConfigError if it is out of reach."""
    folder = _user_folder(environment, "XDG_CONFIG_HOME", ".config")
    path = folder / "config.toml" if folder else None
    try:
        return path if path and path.is_file() else None
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be reached ({error.strerror}). Check the folders above it") from error


def state_folder(database: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of files about this host: that of a SQLite store, else the user's; None without a home."""
    path = _file_of(database)
    return Path(path).expanduser().parent if path else _user_folder(environment, "XDG_STATE_HOME", ".local/state")


def _user_folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Return our folder in the user's; the specification ignores a relative path in the variable."""
    base = Path(environment.get(variable, ""))
    if base.is_absolute():
        return base / "inferometer"
    home = _home(environment)
    return home / below_home / "inferometer" if home else None


def _home(environment: Mapping[str, str]) -> Path | None:
    """Return the user's home: $HOME, or the system's entry for the user; None in a container without either."""
    if environment.get("HOME"):
        return Path(environment["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def check_roots(roots: Roots) -> None:
    """Raise ConfigError if a root is not a folder, or if it is the folder above the right one.

    Discovery would not fail with a wrong root: it would find no sensor, and estimate power that could be measured.
    """
    for key, path, inside in (("path.sysfs", roots.sysfs, "sys/class"), ("path.procfs", roots.procfs, "proc/stat")):
        folder = Path(path)
        if not path or not folder.is_dir():
            raise ConfigError(f"{key} = {path!r}: there is no such folder; name the one where the host's is mounted")
        if (folder / inside).exists() and not (folder / Path(inside).name).exists():
            right = folder / Path(inside).parent
            raise ConfigError(f"{key} = {path!r} is the folder above the right one: did you mean {right}?")


def check_links(config: Config) -> None:
    """Raise ConfigError if a path contains a link that another user may have planted."""
    roots = config.roots
    paths = {"path.sysfs": roots.sysfs, "path.procfs": roots.procfs, "path.nvml_library": roots.nvml_library}
    if config.socket:
        paths["exporter.socket"] = config.socket
    if config.web_config:
        paths["exporter.web_config"] = config.web_config
    if database := _file_of(config.database):
        paths["database"] = database
    for key, path in paths.items():
        try:
            with suppress(FileNotFoundError), resolved(Path(path).expanduser()):
                pass
        except ForeignLinkError as error:
            raise ConfigError(f"{key} = {path!r}: {error.strerror}. Name the link's target instead") from error
        except (OSError, RuntimeError):
            continue  # the code that opens the path reports the cause


def _file_of(database: str) -> str:
    """Return the path of a SQLite database, given as a path or a URL; empty for a server."""
    url = _URL.match(database)
    if url is None:
        return database
    return unquote(database[url.end() :]) if url[1].lower().startswith("sqlite") else ""
