"""Writes docs/settings.md and systemd/config.toml from the table of settings; `make settings` runs it."""

from pathlib import Path

from agent.config.sample import sample_file, toml_value
from agent.config.setting import Setting, Table
from agent.config.table import TABLES

_HERE = Path(__file__).parent
_SERVICE = {"database": "sqlite:////var/lib/inferometer/inferometer.db"}
_HEAD = """# Settings

In the [configuration file](configuration.md), the part of a key before its last dot is the name of the table:
`exporter.listen` is `listen = "127.0.0.1:19795"` below `[exporter]`. Options are valid for all commands, unless the
table names one, and may stand before or after the command. Commas separate the entries of a list in an option or a
variable. `make settings` writes this page.

| key | meaning | value | default | option | variable |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the page of settings."""
    return _HEAD + "".join(_row(table, setting) for table in TABLES for setting in table.settings)


def service_file() -> str:
    """Return the configuration of the service."""
    return sample_file(_SERVICE)


def _row(table: Table, setting: Setting) -> str:
    options = " ".join(f"`{name}`" for name in setting.option.split("/") if name)
    if setting.command:
        options += f" of `{setting.command}`"
    cells = (
        f"`{table.path(setting)}`",
        f"{setting.help} {setting.more}".strip(),
        setting.type.wanted,
        setting.default_text or f"`{toml_value(setting.default)}`",
        options,
        f"`{setting.variable}`" if setting.variable else "",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    (_HERE / "settings.md").write_text(page(), encoding="utf-8")
    (_HERE.parent / "systemd/config.toml").write_text(service_file(), encoding="utf-8")
