"""What the user may set, from the configuration file, the environment and the command line, as one frozen record."""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.model import Roots
from probes.registry import ESTIMATE, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTEN = "127.0.0.1:19795"
"""Where the exporter listens unless told otherwise: this host alone, on a port no well-known exporter uses."""
LOG_LEVELS = ("debug", "info", "warning", "error")
_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.001, 60.0


class ConfigError(ValueError):
    """A configuration that cannot be used: names the file, the key, what was found and what is possible."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set.

    `periods` are seconds between reads by probe family, where they differ from `period_seconds`.
    """

    database: str = ""
    log_level: str = "info"
    roots: Roots = field(default_factory=Roots)
    period_seconds: float = 1.0
    periods: tuple[tuple[str, float], ...] = ()
    estimates: bool = True
    listen: str = LISTEN

    def period_of(self, probe: str) -> float:
        """Return the seconds between two reads of a probe, by its family (the part of its name before a slash)."""
        return dict(self.periods).get(probe.partition("/")[0], self.period_seconds)


def default_database(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the user's own database, after the XDG base directory specification."""
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/")) / ".local/state")
    return str(Path(state) / "inferometer/inferometer.db")


def default_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the user's own configuration file if there is one."""
    config = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "/")) / ".config")
    path = Path(config) / "inferometer/config.toml"
    return path if path.is_file() else None


def load(path: Path | None) -> Config:
    """Read a configuration file; without one, the defaults. Raises ConfigError."""
    if path is None:
        return Config(database=default_database())
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: it cannot be read ({error.strerror}). Check --config and its permissions"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not TOML: {error}") from error
    return _parse(found, str(path))


def override(config: Config, **given: str | bool | None) -> Config:
    """Return the configuration with what the command line or the environment gave; None leaves a field as it is."""
    paths = {name: given.pop(name) for name in ("sysfs", "procfs", "nvml_library") if given.get(name) is not None}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None and name in _FIELDS}
    return replace(config, roots=replace(config.roots, **paths), **fields)  # type: ignore[arg-type]


_FIELDS = frozenset({"database", "log_level", "estimates", "listen"})


def _parse(found: Mapping[str, Any], where: str) -> Config:
    table = _Table(found, where)
    table.only("database", "log_level", "path", "sampling", "exporter")
    path, sampling, exporter = (table.table(name) for name in ("path", "sampling", "exporter"))
    path.only("sysfs", "procfs", "nvml_library")
    sampling.only("period_seconds", "estimates", "periods")
    exporter.only("listen")
    periods = sampling.table("periods")
    periods.only(*FAMILIES, ESTIMATE)
    log_level = table.text("log_level", "info")
    if log_level not in LOG_LEVELS:
        raise ConfigError(f"{where}: log_level = {log_level!r} is none of {', '.join(LOG_LEVELS)}")
    return Config(
        database=table.text("database", "") or default_database(),
        log_level=log_level,
        roots=Roots(
            path.text("sysfs", Roots().sysfs),
            path.text("procfs", Roots().procfs),
            path.text("nvml_library", Roots().nvml_library),
        ),
        period_seconds=sampling.seconds("period_seconds", 1.0),
        periods=tuple((name, periods.seconds(name, 1.0)) for name in periods.found),
        estimates=sampling.flag("estimates", default=True),
        listen=exporter.text("listen", LISTEN),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """One TOML table with the name it has in messages."""

    found: Mapping[str, Any]
    where: str
    prefix: str = ""

    def only(self, *known: str) -> None:
        for key in self.found:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1, 0.5)
                hint = f"did you mean {self.prefix + near[0]!r}?" if near else f"known here: {', '.join(known)}"
                raise ConfigError(f"{self.where}: unknown key {self.prefix + key!r}; {hint}")

    def table(self, key: str) -> _Table:
        return _Table(self._typed(key, {}, dict, "a table"), self.where, f"{self.prefix}{key}.")

    def text(self, key: str, default: str) -> str:
        return str(self._typed(key, default, str, "a text in quotes"))

    def flag(self, key: str, *, default: bool) -> bool:
        return bool(self._typed(key, default, bool, "true or false"))

    def seconds(self, key: str, default: float) -> float:
        value = self.found.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not _FASTEST_SECONDS <= value <= _SLOWEST_SECONDS:
            allowed = f"a number of seconds from {_FASTEST_SECONDS:g} to {_SLOWEST_SECONDS:g}"
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {value!r} is not {allowed}")
        return float(value)

    def _typed(self, key: str, default: Any, kind: type, wanted: str) -> Any:
        value = self.found.get(key, default)
        if not isinstance(value, kind):
            raise ConfigError(f"{self.where}: {self.prefix}{key} = {value!r} is not {wanted}")
        return value
