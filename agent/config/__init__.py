"""The settings: one table (`table.py`), and the configuration made of a file, the environment and the options."""

from agent.config.errors import ConfigError
from agent.config.paths import check_links, check_roots, default_database, default_file
from agent.config.record import LISTEN, Config, FleetConfig, RetentionConfig
from agent.config.resolve import (
    DEFAULT,
    EffectiveConfig,
    SharedOptions,
    effective_config,
    load,
    override,
    resolve_config,
    variables_of,
)
from agent.runtime.console import LOG_LEVELS

__all__ = [
    "DEFAULT",
    "LISTEN",
    "LOG_LEVELS",
    "Config",
    "ConfigError",
    "EffectiveConfig",
    "FleetConfig",
    "RetentionConfig",
    "SharedOptions",
    "check_links",
    "check_roots",
    "default_database",
    "default_file",
    "effective_config",
    "load",
    "override",
    "resolve_config",
    "variables_of",
]
