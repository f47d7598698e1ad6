"""Writes a configuration as the tables of a file, and the commented file that shows every setting."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from agent.config import meters, serving
from agent.config.resolve import values_of
from agent.config.table import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.config.record import Config
    from agent.config.setting import Setting

_WIDTH = 118
_HEAD = """# The configuration of Inferometer. Every setting is shown; remove the lines that you do not change.
# After a change, check this file with `inferometer config check`; `systemctl reload inferometer` applies it to the
# service.
"""


def to_tables(config: Config) -> dict[str, Any]:
    """Return the keys and tables of a file that sets all of this."""
    values, tables = values_of(config), dict[str, Any]()
    for table in TABLES:
        if table.repeated or table.any_key:
            continue
        section = tables
        for part in table.name.split(".") if table.name else ():
            section = section.setdefault(part, {})
        for setting in table.settings:
            if (value := values[setting.name]) is not None:
                section[setting.file_key] = list(value) if isinstance(value, tuple) else value
    tables["host"] = {"labels": dict(config.labels)}
    if config.serving:
        tables["serving"] = [serving.as_table(server) for server in config.serving]
    if config.meters:
        tables["meters"] = [meters.as_table(meter) for meter in config.meters]
    return tables


def sample_file(values: Mapping[str, object] | None = None) -> str:
    """Return a file with every setting, its explanation and its default, or its value in `values` (by name)."""
    lines = [_HEAD]
    for table in TABLES:
        head = f"# [[{table.name}]]" if table.repeated else f"[{table.name}]"
        lines.append(f"\n{head}\n" if table.name else "\n")
        explained: list[str] = []
        for number, setting in enumerate(table.settings):
            if (comment := _comment(setting)) != explained:
                lines += ["\n"] * (number > 0) + comment
            explained = comment
            value = None if table.repeated or table.any_key else (values or {}).get(setting.name, setting.default)
            lines.append(_assignment(setting, value))
    return "".join(lines)


def _comment(setting: Setting) -> list[str]:
    sentences = [f"{setting.help} {setting.more}".strip()]
    if setting.default == "" and setting.default_text and setting.example is None:
        sentences.append(f"If empty: {setting.default_text}.")
    return [f"# {line}\n" for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH)]


def toml_value(value: object) -> str:
    """Return a value as TOML has it, which is as JSON has it."""
    return json.dumps(value, ensure_ascii=False)


def _assignment(setting: Setting, value: object) -> str:
    if value is None:
        example = setting.default if setting.example is None else setting.example
        return f"# {setting.file_key} = {toml_value(example)}\n"
    return f"{setting.file_key} = {toml_value(value)}\n"


def lines_of(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield one line for each key of a table and of the tables in it, with the whole name of the key."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from lines_of(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for at, each in enumerate(value, 1):
                yield from lines_of(each, f"{prefix}{key}[{at}].")
        else:
            yield f"{prefix}{key} = {toml_value(value)}"
