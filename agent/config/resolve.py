"""Makes the configuration of a file, the environment and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.errors import ConfigError
from agent.config.paths import check_links, check_roots, default_database, default_file
from agent.config.reader import Reader, convert
from agent.config.record import Config, RetentionConfig
from agent.config.table import PERIOD, SETTINGS, TABLES
from agent.runtime.text_input import TextInputError, read_toml
from probes.model import Roots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.cost.tariff import Tariff


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """The configuration file and the settings that override it, as given; None for what is not given."""

    config_file: Path | None = None
    given: Mapping[str, object] = field(default_factory=dict)


def resolve_config(options: SharedOptions, *, with_file: bool = True) -> Config:
    """Return the configuration under these options, without any file if not `with_file`. Raises ConfigError."""
    config = load((options.config_file or default_file()) if with_file else None)
    config = override(config, **options.given)
    check_links(config)
    check_roots(config.roots)
    return config


def load(path: Path | None) -> Config:
    """Read a configuration file; without one, return the defaults. Raises ConfigError."""
    if path is None:
        return Config(database=default_database())
    try:
        found = read_toml(path)
    except TextInputError as error:
        raise ConfigError(f"{path}: {error}") from error
    values, warnings = Reader(TABLES, str(path)).read(found)
    config = _build(values)
    return replace(
        config,
        database=config.database or default_database(),
        tariff=_tariff(config.tariff_file, str(path)) if config.tariff_file else None,
        warnings=warnings,
    )


def override(config: Config, **given: object) -> Config:
    """Return the configuration with the values given by the names of their settings; None and [] change nothing.

    A text is parsed. Raises ConfigError for a value that is not allowed.
    """
    values = values_of(config)
    for setting in SETTINGS:
        value = given.get(setting.name)
        if value is None or value == []:
            continue
        if isinstance(value, list):  # an option that was given once or several times
            value = ",".join(value)
        label = f"{setting.option.partition('/')[0]} ({setting.variable})"
        values[setting.name] = convert(setting, value, label, parse=True)
    return replace(_build(values), tariff=config.tariff, warnings=config.warnings)


def values_of(config: Config) -> dict[str, Any]:
    """Return the values of all settings by their names; None for those that are not set."""
    values: dict[str, Any] = {f"{PERIOD}{family}": seconds for family, seconds in config.periods}
    for record in (config, config.roots, config.retention_config):
        values |= {each.name: getattr(record, each.name) for each in fields(record)}
    return {setting.name: values.get(setting.name) for setting in SETTINGS}


def _build(values: Mapping[str, Any]) -> Config:
    """Return the record that holds these values; the tariff is not loaded."""

    def chosen(record: type) -> dict[str, Any]:
        return {each.name: values[each.name] for each in fields(record) if each.name in values}

    periods = [(name.removeprefix(PERIOD), value) for name, value in values.items() if name.startswith(PERIOD)]
    return Config(
        **chosen(Config),
        roots=Roots(**chosen(Roots)),
        retention_config=RetentionConfig(**chosen(RetentionConfig)),
        periods=tuple((family, seconds) for family, seconds in periods if seconds is not None),
    )


def _tariff(file: str, where: str) -> Tariff:
    from agent.cost.tariff import TariffError, load_tariff  # noqa: PLC0415  most commands have no tariff

    try:
        return load_tariff(Path(file))
    except TariffError as error:
        raise ConfigError(f"{where}: tariff: {error}") from error
