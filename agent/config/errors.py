"""The error of a configuration."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration that cannot be used: names the file, the key, the value found and the values allowed."""
