"""What the user may set, from the configuration file, the environment and the command line, as one frozen record."""

from __future__ import annotations

import difflib
import os
import pwd
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from agent.runtime.cpu_budget import CPU_BUDGET
from agent.runtime.path_walk import ForeignLinkError, resolved
from agent.runtime.text_input import TextInputError, quoted, read_toml
from probes.model import Roots
from probes.registry import ESTIMATE, FAMILIES
from probes.settings import SensorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.cost.tariff import Tariff

LISTEN = "127.0.0.1:19795"
"""Where the exporter listens unless told otherwise: this host alone, on a port no well-known exporter uses."""
LOG_LEVELS = ("debug", "info", "warning", "error")
_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.001, 60.0
_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("database", "log_level", "tariff", "path", "sampling", "exporter", "retention"),
    "path.": ("sysfs", "procfs", "nvml_library"),
    "sampling.": ("period_seconds", "estimates", "cpu_budget", "realtime", "periods"),
    "sampling.periods.": (*FAMILIES, ESTIMATE),
    "exporter.": ("listen", "hosts"),
    "retention.": ("raw_days", "raw_bytes", "rollup_days"),
}
"""What each table may hold."""
_MIN_SHARE = 0.001
_SHARE = f"a share of one processor from {_MIN_SHARE:g} to 1, or 0 for no limit"
_MAX_AMOUNT = 1e15
"""A petabyte, or more days than the universe has: larger numbers are slips, and some would overflow."""
_Amount = TypeVar("_Amount", int, float)
_LAST_PORT = 65535
_NAME = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\.?")
_URL = re.compile(r"(\w[\w+]*):/(//)?", re.ASCII)
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+(%\w+)?\]|[^\s:\[\]]+):[0-9]{1,5}")


class ConfigError(ValueError):
    """A configuration that cannot be used: names the file, the key, what was found and what is possible."""


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long the service keeps what it stores; 0 is for ever, or however large.

    `raw_days` and `rollup_days` are the age of the oldest samples and of the oldest minutes, `raw_bytes` is what the
    database may take; nothing younger than two hours is removed for that.
    """

    raw_days: float = 30.0
    raw_bytes: int = 0
    rollup_days: float = 365.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set.

    `periods` are seconds between reads by probe family, where they differ from `period_seconds`. `cpu_budget` is the
    share of one processor that sampling may use, 0 for no limit. With `realtime` one thread of a measurement or a
    profile asks the kernel to be in time. `tariff` is what the file `tariff_file` holds, None if none is named. `hosts`
    are the DNS names by which requests may address the exporter.
    """

    database: str = ""
    log_level: str = "info"
    tariff_file: str = ""
    tariff: Tariff | None = None
    roots: Roots = field(default_factory=Roots)
    period_seconds: float = 1.0
    periods: tuple[tuple[str, float], ...] = ()
    estimates: bool = True
    cpu_budget: float = CPU_BUDGET
    realtime: bool = True
    listen: str = LISTEN
    hosts: tuple[str, ...] = ()
    retention_config: RetentionConfig = field(default_factory=RetentionConfig)

    @property
    def sensors(self) -> SensorSettings:
        """The settings of sensor discovery."""
        return SensorSettings(self.estimates)

    def tables(self) -> dict[str, Any]:
        """Return the keys and tables of a file that sets all of this."""
        return {
            "database": self.database,
            "log_level": self.log_level,
            "tariff": self.tariff_file,
            "path": asdict(self.roots),
            "sampling": {
                "period_seconds": self.period_seconds,
                "estimates": self.estimates,
                "cpu_budget": self.cpu_budget,
                "realtime": self.realtime,
                "periods": dict(self.periods),
            },
            "exporter": {"listen": self.listen, "hosts": list(self.hosts)},
            "retention": asdict(self.retention_config),
        }

    def period_of(self, probe: str) -> float:
        """Return the seconds between two reads of a probe, by its family (the part of its name before a slash)."""
        return dict(self.periods).get(probe.partition("/")[0], self.period_seconds)


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """The shared options as given; None where they were not."""

    config_file: Path | None
    database: str | None
    sysfs: str | None
    procfs: str | None
    nvml_library: str | None
    estimates: bool | None
    cpu_budget: float | None = None
    realtime: bool | None = None


def default_database(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the user's own database, after the XDG base directory specification; empty without a home."""
    folder = _user_folder(environment, "XDG_STATE_HOME", ".local/state")
    return str(folder / "inferometer.db") if folder else ""


def check_roots(roots: Roots) -> None:
    """Raise ConfigError where a root is no folder, or is the folder above the one that is meant.

    A wrong root would not fail: it would find no sensor, and estimate what could be measured.
    """
    for option, path, inside in (("path.sysfs", roots.sysfs, "sys/class"), ("path.procfs", roots.procfs, "proc/stat")):
        folder = Path(path)
        if not folder.is_dir():
            raise ConfigError(f"{option} = {path!r}: there is no such folder; say where the host's is mounted")
        if (folder / inside).exists() and not (folder / Path(inside).name).exists():
            meant = folder / Path(inside).parent
            raise ConfigError(f"{option} = {path!r} is the folder above the one that is meant: did you mean {meant}?")


def check_links(config: Config) -> None:
    """Raise ConfigError where a path leads over a link that another user may have planted."""
    roots = config.roots
    paths = {"path.sysfs": roots.sysfs, "path.procfs": roots.procfs, "path.nvml_library": roots.nvml_library}
    if database := _file_of(config.database):
        paths["database"] = database
    for key, path in paths.items():
        try:
            with suppress(FileNotFoundError), resolved(Path(path).expanduser()):
                pass
        except ForeignLinkError as error:
            raise ConfigError(f"{key} = {path!r}: {error.strerror}. Name the file that is meant itself") from error
        except (OSError, RuntimeError):
            continue  # whoever opens the path reports why it cannot


def _file_of(database: str) -> str:
    """Return the path of a SQLite database, given as such or as a URL; empty for a server."""
    url = _URL.match(database)
    if url is None:
        return database
    return unquote(database[url.end() :]) if url[1].lower().startswith("sqlite") else ""


def default_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the user's own configuration file if there is one."""
    folder = _user_folder(environment, "XDG_CONFIG_HOME", ".config")
    path = folder / "config.toml" if folder else None
    try:
        return path if path and path.is_file() else None
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be reached ({error.strerror}). Check the folders above it") from error


def _home(environment: Mapping[str, str]) -> Path | None:
    """Return the user's home: $HOME, or the system's entry for the user; None in a container without either."""
    if environment.get("HOME"):
        return Path(environment["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _user_folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Return our folder in the user's; a relative path in the variable does not count, as the specification says."""
    base = Path(environment.get(variable, ""))
    if base.is_absolute():
        return base / "inferometer"
    home = _home(environment)
    return home / below_home / "inferometer" if home else None


def load(path: Path | None) -> Config:
    """Read a configuration file; without one, the defaults. Raises ConfigError."""
    if path is None:
        return Config(database=default_database())
    try:
        found = read_toml(path)
    except TextInputError as error:
        raise ConfigError(f"{path}: {error}") from error
    return _parse(found, str(path))


def resolve_config(options: SharedOptions, *, with_file: bool = True) -> Config:
    """Return the configuration under these options, of the defaults alone if not `with_file`. Raises ConfigError."""
    config = override(
        load((options.config_file or default_file()) if with_file else None),
        database=options.database,
        sysfs=options.sysfs,
        procfs=options.procfs,
        nvml_library=options.nvml_library,
        estimates=options.estimates,
        cpu_budget=options.cpu_budget,
        realtime=options.realtime,
    )
    check_links(config)
    check_roots(config.roots)
    return config


def override(config: Config, **given: str | bool | float | None) -> Config:
    """Return the configuration with what the command line or the environment gave; None leaves a field as it is.

    Raises ConfigError if a log level or an address to listen on cannot be one.
    """
    paths = {name: given.pop(name) for name in ("sysfs", "procfs", "nvml_library") if given.get(name) is not None}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None and name in _FIELDS}
    changed = replace(config, roots=replace(config.roots, **paths), **fields)  # type: ignore[arg-type]
    if "log_level" in fields:
        _check_log_level(changed.log_level, "--log-level (INFEROMETER_LOG_LEVEL)")
    if "cpu_budget" in fields:
        _checked_share(changed.cpu_budget, "--cpu-budget (INFEROMETER_CPU_BUDGET)")
    if "listen" in fields:
        _check_listen_address(changed.listen, "--listen (INFEROMETER_LISTEN)")
    return changed


_FIELDS = frozenset({"cpu_budget", "database", "log_level", "estimates", "realtime", "listen"})


def _checked_share(value: float, where: str) -> float:
    """Return a share of one processor. Raises ConfigError if it is none."""
    if value != 0 and not _MIN_SHARE <= value <= 1:
        raise ConfigError(f"{where} = {quoted(value)} is not {_SHARE}")
    return float(value)


def _check_log_level(text: str, where: str) -> None:
    if text not in LOG_LEVELS:
        raise ConfigError(f"{where} = {quoted(text)} is none of {', '.join(LOG_LEVELS)}")


def _check_listen_address(text: str, where: str) -> None:
    if not _HOST_PORT.fullmatch(text) or int(text.rpartition(":")[2]) > _LAST_PORT:
        raise ConfigError(f"{where} = {quoted(text)} is no host:port; write it as {LISTEN} or [::1]:19795")


def _parse(found: Mapping[str, Any], where: str) -> Config:
    table = _Table(found, where)
    path, sampling, exporter, retention = map(table.table, ("path", "sampling", "exporter", "retention"))
    periods, usual = sampling.table("periods"), RetentionConfig()
    log_level = table.text("log_level", "info")
    _check_log_level(log_level, f"{where}: log_level")
    listen = exporter.text("listen", LISTEN)
    _check_listen_address(listen, f"{where}: exporter.listen")
    return Config(
        database=table.text("database", "") or default_database(),
        log_level=log_level,
        tariff_file=(tariff := table.text("tariff", "")),
        tariff=_tariff(tariff, where) if tariff else None,
        roots=Roots(
            path.text("sysfs", "") or Roots().sysfs,
            path.text("procfs", "") or Roots().procfs,
            path.text("nvml_library", ""),
        ),
        period_seconds=sampling.seconds("period_seconds", 1.0),
        periods=tuple((name, periods.seconds(name, 1.0)) for name in periods.found),
        estimates=sampling.flag("estimates", default=True),
        cpu_budget=sampling.share("cpu_budget", CPU_BUDGET),
        realtime=sampling.flag("realtime", default=True),
        listen=listen,
        hosts=exporter.names("hosts"),
        retention_config=RetentionConfig(
            retention.amount("raw_days", usual.raw_days, float),
            retention.amount("raw_bytes", usual.raw_bytes, int),
            retention.amount("rollup_days", usual.rollup_days, float),
        ),
    )


def _tariff(file: str, where: str) -> Tariff:
    """Read the tariff that prices the host's energy. Raises ConfigError."""
    from agent.cost.tariff import TariffError, load_tariff  # noqa: PLC0415  most commands have no tariff

    try:
        return load_tariff(Path(file))
    except TariffError as error:
        raise ConfigError(f"{where}: tariff: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class _Table:
    """One TOML table with the name it has in messages; raises ConfigError for a key it may not hold."""

    found: Mapping[str, Any]
    where: str
    prefix: str = ""

    def __post_init__(self) -> None:
        for key in self.found:
            if key not in _KEYS[self.prefix]:
                raise ConfigError(f"{self.where}: unknown key {quoted(self.prefix + key)}; {self._hint(key)}")

    def _hint(self, key: str) -> str:
        """Name the key that was meant: of this table if one is near, else of any other."""
        known = _KEYS[self.prefix]
        if near := difflib.get_close_matches(key, known, 1, 0.5):
            return f"did you mean {self.prefix + near[0]!r}?"
        everywhere = {name: prefix + name for prefix, names in _KEYS.items() for name in names}
        if near := difflib.get_close_matches(key, everywhere, 1):
            return f"did you mean {everywhere[near[0]]!r}?"
        return f"known here: {', '.join(known)}"

    def table(self, key: str) -> _Table:
        return _Table(self._typed(key, {}, dict, "a table"), self.where, f"{self.prefix}{key}.")

    def text(self, key: str, default: str) -> str:
        return str(self._typed(key, default, str, "a text in quotes"))

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of DNS names, in lower case."""
        names = self._typed(key, [], list, "a list of names in quotes")
        for name in names:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                wanted = "is no name of a host; write it as monitor.example.org"
                raise ConfigError(f"{self.where}: {self.prefix}{key}: {quoted(name)} {wanted}")
        return tuple(name.lower().rstrip(".") for name in names)

    def flag(self, key: str, *, default: bool) -> bool:
        return bool(self._typed(key, default, bool, "true or false"))

    def amount(self, key: str, default: _Amount, kind: type[_Amount]) -> _Amount:
        """Return a number from 0 on, whole where `kind` is int."""
        value = self.found.get(key, default)
        whole = isinstance(value, int) or kind is float
        if not _is_number(value) or not whole or not 0 <= value <= _MAX_AMOUNT:
            allowed = f"a {'whole ' if kind is int else ''}number from 0 to {_MAX_AMOUNT:g}; 0 sets no limit"
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {quoted(value)} is not {allowed}")
        return kind(value)

    def share(self, key: str, default: float) -> float:
        """Return a share of one processor."""
        value = self.found.get(key, default)
        if not _is_number(value):
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {quoted(value)} is not {_SHARE}")
        return _checked_share(value, f"{self.where}: {self.prefix}{key}")

    def seconds(self, key: str, default: float) -> float:
        value = self.found.get(key, default)
        if not _is_number(value) or not _FASTEST_SECONDS <= value <= _SLOWEST_SECONDS:
            allowed = f"a number of seconds from {_FASTEST_SECONDS:g} to {_SLOWEST_SECONDS:g}"
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {quoted(value)} is not {allowed}")
        return float(value)

    def _typed(self, key: str, default: Any, kind: type, wanted: str) -> Any:
        value = self.found.get(key, default)
        if not isinstance(value, kind):
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {quoted(value)} is not {wanted}")
        return value
