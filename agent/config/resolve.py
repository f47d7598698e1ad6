"""Makes the configuration of a file, the environment and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.errors import ConfigError
from agent.config.labels import LABELS, labels_of
from agent.config.meters import meters_of
from agent.config.paths import check_links, check_roots, default_database, default_file
from agent.config.reader import Reader, convert
from agent.config.record import Config, FleetConfig, RetentionConfig
from agent.config.serving import servers_of
from agent.config.table import PERIOD, SETTINGS, TABLES
from agent.runtime.text_input import TextInputError, quoted, read_toml
from probes.model import Roots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.setting import Setting
    from agent.cost.tariff import Tariff

DEFAULT = "default"
"""The source of a setting that nothing sets."""


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """The configuration file and the settings that override it.

    `given` are the values of options and `variables` those of environment variables, both by the names of the settings;
    None and [] are not given.
    """

    config_file: Path | None = None
    given: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """The configuration in use, its file (None without one), and the source of each setting by its name.

    A source is the path of the file, a variable, an option, or `DEFAULT`.
    """

    config: Config
    file: Path | None
    sources: Mapping[str, str]


def variables_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the variables that are set and not empty, by the names of their settings."""
    return {each.name: environment[each.variable] for each in SETTINGS if environment.get(each.variable)}


def resolve_config(options: SharedOptions, *, with_file: bool = True) -> Config:
    """Return the configuration under these options, without any file if not `with_file`. Raises ConfigError."""
    return effective_config(options, with_file=with_file).config


def effective_config(options: SharedOptions, *, with_file: bool = True) -> EffectiveConfig:
    """Return the configuration of file, variables and options: each overrides those before. Raises ConfigError."""
    path = (options.config_file or default_file()) if with_file else None
    config, in_file = _loaded(path)
    sources = {setting.name: str(path) if setting.name in in_file else DEFAULT for setting in SETTINGS}
    values: dict[str, object] = {}
    for setting in SETTINGS:
        option, variable = options.given.get(setting.name), options.variables.get(setting.name)
        if option is not None and option != []:
            values[setting.name], sources[setting.name] = option, _option(setting, option)
        elif variable is not None:
            values[setting.name], sources[setting.name] = variable, setting.variable
    config = _overridden(config, values, sources)
    check_links(config)
    check_roots(config.roots)
    return EffectiveConfig(config, path, sources)


def _option(setting: Setting, value: object) -> str:
    """Return the option that a user types for a value: `--no-estimates` if it is False."""
    name, _, negative = setting.option.partition("/")
    return negative if value is False else name


def load(path: Path | None) -> Config:
    """Read a configuration file; without one, return the defaults. Raises ConfigError."""
    return _loaded(path)[0]


def _loaded(path: Path | None) -> tuple[Config, frozenset[str]]:
    """Return the configuration of a file, and the names of the settings in it."""
    if path is None:
        return Config(database=default_database()), frozenset()
    try:
        found = read_toml(path)
    except TextInputError as error:
        raise ConfigError(f"{path}: {error}") from error
    reader = Reader(TABLES, str(path))
    values, warnings = reader.read(found)
    config = _build({name: value for name, value in values.items() if name not in {"meters", "serving"}})
    if config.socket_group and not config.socket:
        cause = f"{path}: exporter.socket_group = {quoted(config.socket_group)} has no effect without exporter.socket"
        warnings = (*warnings, f"{cause}; set exporter.socket as well, or remove exporter.socket_group")
    config = replace(
        config,
        database=config.database or default_database(),
        tariff=_tariff(config.tariff_file, str(path)) if config.tariff_file else None,
        serving=servers_of(values.get("serving", ()), str(path)),
        meters=meters_of(values.get("meters", ()), str(path)),
        labels=labels_of(values.get(LABELS.name, {}), str(path)),
        warnings=warnings,
    )
    return config, frozenset(reader.found)


def override(config: Config, **given: object) -> Config:
    """Return the configuration with the values of options by the names of their settings; None and [] change nothing.

    A text is parsed. Raises ConfigError for a value that is not allowed.
    """
    values = {name: value for name, value in given.items() if value is not None and value != []}
    return _overridden(config, values, {each.name: _option(each, values.get(each.name)) for each in SETTINGS})


def _overridden(config: Config, given: Mapping[str, object], sources: Mapping[str, str]) -> Config:
    values = values_of(config)
    for setting in SETTINGS:
        if setting.name not in given:
            continue
        value = given[setting.name]
        if isinstance(value, list):  # an option that was given once or several times
            value = ",".join(value)
        values[setting.name] = convert(setting, value, f"{sources[setting.name]}: ", parse=True)
    return replace(
        _build(values),
        tariff=config.tariff,
        serving=config.serving,
        meters=config.meters,
        labels=config.labels,
        warnings=config.warnings,
    )


def values_of(config: Config) -> dict[str, Any]:
    """Return the values of all settings by their names; None for those that are not set."""
    values: dict[str, Any] = {f"{PERIOD}{family}": seconds for family, seconds in config.periods}
    for record in (config, config.roots, config.retention_config, config.fleet):
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
        fleet=FleetConfig(**chosen(FleetConfig)),
        periods=tuple((family, seconds) for family, seconds in periods if seconds is not None),
    )


def _tariff(file: str, where: str) -> Tariff:
    from agent.cost.limits import TariffError  # noqa: PLC0415  most commands have no tariff
    from agent.cost.tariff_file import load_tariff  # noqa: PLC0415  same

    try:
        return load_tariff(Path(file))
    except TariffError as error:
        raise ConfigError(f"{where}: tariff: {error}") from error
