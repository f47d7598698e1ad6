"""Checks the project's prose against `docs/words.md`: comments, docstrings, messages, test names and pages.

    python docs/check_words.py [PATH ...]

Prints each finding with the standard term, and exits with 1 if there is one.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs/words.md"
NOT_OURS = ("tests/fixtures/", "docs/words.md", "LICENSE", "requirements/")
_ROW = re.compile(r"\| `(?P<pattern>.+?)` \| (?P<use>.+?) \|")
_CODE = re.compile(r"```.*?```|`[^`]*`|<[^>]*>|https?://\S+", re.DOTALL)
_TEST = re.compile(r"\s*(?:async )?def (test_\w+)")


def rules() -> list[tuple[re.Pattern[str], str]]:
    """Return each pattern of the list and what to write instead."""
    rows = _ROW.finditer(LIST.read_text(encoding="utf-8"))
    return [(re.compile(row["pattern"].replace(r"\|", "|")), row["use"]) for row in rows]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file, with the number of the line on which each piece begins."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _of_python(text)
        return
    blank = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    yield from enumerate(blank.splitlines(), 1)


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    wanted = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in wanted and " " in token.string:
            blank = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), token.string)
            for offset, line in enumerate(blank.splitlines()):
                yield token.start[0] + offset, line
    for number, line in enumerate(text.splitlines(), 1):
        if test := _TEST.match(line):
            yield number, test[1].replace("_", " ")


def findings(path: Path) -> Iterator[str]:
    """Yield a line for each word or phrase of the list in a file."""
    for number, line in prose(path):
        for pattern, use in rules():
            for found in pattern.finditer(line):
                yield f"{path.relative_to(ROOT)}:{number}: {found[0].strip()!r}: write {use}"


def files() -> list[Path]:
    """Return the files whose prose is ours."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return [ROOT / name for name in listed.stdout.splitlines() if not name.startswith(NOT_OURS)]


def main(arguments: list[str]) -> int:
    """Print every finding; return 1 if there is one."""
    paths = [Path(each).resolve() for each in arguments]
    chosen = [path for path in files() if not paths or any(path.is_relative_to(each) for each in paths)]
    found = [line for path in chosen for line in findings(path)]
    print("\n".join(found)) if found else None  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
