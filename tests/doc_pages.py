"""The pages of the documentation, and patterns of their parts."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "requirements/README.md",
        ROOT / "proofs/README.md",
    )
    if "_build" not in page.parts
)
OUTPUT = re.compile(r"(?<=<!-- output -->\n```\n).*?(?=```\n<!-- end of output -->)", re.DOTALL)
EXCERPT = re.compile(r"(?<=<!-- excerpt -->\n```\n).*?(?=```\n<!-- end of excerpt -->)", re.DOTALL)
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
