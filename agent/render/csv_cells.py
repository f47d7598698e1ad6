"""Makes the cells of CSV harmless for spreadsheets, which compute a text that begins like a formula."""

from __future__ import annotations

import re

from agent.runtime.console import printable_line

_FORMULA = re.compile(r"\s*[=+\-@]")


def neutralized(cell: object) -> object:
    """Return a cell of CSV; a text that a spreadsheet would compute gets an apostrophe in front, a number does not."""
    if not isinstance(cell, str):
        return cell
    text = printable_line(cell)
    return f"'{text}" if _FORMULA.match(text) else text
