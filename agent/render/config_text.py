"""The effective configuration as a JSON document and as text, each setting with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.config.labels import LABELS
from agent.config.resolve import values_of
from agent.config.sample import lines_of, to_tables
from agent.config.table import TABLES

if TYPE_CHECKING:
    from agent.config import EffectiveConfig


def document(effective: EffectiveConfig, database: str | None) -> dict[str, Any]:
    """Return the settings as the tables of a file, and the source of each by its key; `database` has no password."""
    values = values_of(effective.config)
    sources = {
        table.path(setting): effective.sources[setting.name]
        for table in TABLES
        for setting in table.settings
        if values.get(setting.name) is not None
    }
    tables = to_tables(effective.config)
    repeated = (
        (table.name, at, each)
        for table in TABLES
        if table.repeated
        for at, each in enumerate(tables.get(table.name, ()), 1)
    )
    sources |= {f"{name}[{at}].{key}": str(effective.file) for name, at, each in repeated for key in each}
    sources |= {f"{LABELS.name}.{name}": str(effective.file) for name, _ in effective.config.labels}
    return {
        "file": str(effective.file) if effective.file else None,
        "config": {**tables, "database": database},
        "sources": sources,
    }


def config_text(shown: dict[str, Any]) -> str:
    """Return such a document as lines of TOML; the comment of a line is the source of the setting."""
    head = f"valid, with {shown['file']}" if shown["file"] else "valid, without a configuration file"
    lines = [(line, shown["sources"][line.partition(" = ")[0]]) for line in lines_of(shown["config"])]
    width = max(len(line) for line, _ in lines)
    return "\n".join([head, *(f"  {line:{width}}  # {source}" for line, source in lines)])
