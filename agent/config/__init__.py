"""The settings: one table (`table.py`), and the configuration made of a file, the environment and the options."""

from agent.config.errors import ConfigError
from agent.config.paths import check_links, check_roots, default_database, default_file
from agent.config.record import LISTEN, Config, RetentionConfig
from agent.config.resolve import SharedOptions, load, override, resolve_config
from agent.runtime.console import LOG_LEVELS

__all__ = [
    "LISTEN",
    "LOG_LEVELS",
    "Config",
    "ConfigError",
    "RetentionConfig",
    "SharedOptions",
    "check_links",
    "check_roots",
    "default_database",
    "default_file",
    "load",
    "override",
    "resolve_config",
]
