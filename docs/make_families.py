"""Writes the tables of sensor families in README.md, docs/sensors.md and docs/service.md from the registry.

python docs/make_families.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from agent.render.family_list import permissions
from probes.registry import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from probes.family import Family

_ROOT = Path(__file__).resolve().parents[1]
_TABLE = re.compile(r"(?<=<!-- families -->\n).*?(?=<!-- end of families -->)", re.DOTALL)


def short_table() -> str:
    """Return the table of README.md."""
    return _table(("family", "hardware", "reads"), (_short_row(family) for family in families()))


def long_table() -> str:
    """Return the table of docs/sensors.md."""
    columns = ("family", "hardware", "reads", "method", "refresh", "privilege", "tested on")
    return _table(columns, (_long_row(family) for family in families()))


def service_table() -> str:
    """Return the table of docs/service.md: the families for which the unit must be opened."""
    needy = (family for family in families() if family.needs_unit)
    return _table(("family", "hardware", "permissions of its drop-in"), (_service_row(family) for family in needy))


TABLES: dict[Path, Callable[[], str]] = {
    _ROOT / "README.md": short_table,
    _ROOT / "docs/sensors.md": long_table,
    _ROOT / "docs/service.md": service_table,
}
"""The pages with a table between their marks."""


def with_table(page: str, table: str) -> str:
    """Return a page with a table between its marks."""
    return _TABLE.sub(lambda _: table, page)


def _short_row(family: Family) -> tuple[str, ...]:
    return (f"`{family.name}`", family.title, family.reads)


def _service_row(family: Family) -> tuple[str, ...]:
    return (f"`{family.name}`", family.title, permissions(family))


def _long_row(family: Family) -> tuple[str, ...]:
    title = f"{family.title} (`[[meters]]`)" if family.configured else family.title
    privilege = family.privilege or "none"
    proofs = "; ".join(family.tested_on)
    return (f"`{family.name}`", title, family.reads, family.method, family.refresh, privilege, proofs)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(columns)
    lines = (head, tuple("---" for _ in head), *rows)
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for path, table in TABLES.items():
        path.write_text(with_table(path.read_text(encoding="utf-8"), table()), encoding="utf-8")
