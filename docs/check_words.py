"""Checks the project's prose against `docs/words.md`: comments, docstrings, messages, test names and pages.

    python docs/check_words.py [PATH ...]

Prints each finding with the standard term, and ends with 1 if there is one. Without a PATH it checks every file.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs/words.md"
FOLDERS = ("agent", "benchmarks", "docs", "probes", "proofs", "requirements", "store", "tests")
EXCLUDED = {"fixtures", "_build", ".venvs", "test_words.py", "words.md"}
_ROW = re.compile(r"\| `(?P<pattern>.+?)` \| (?P<use>.+?) \|")
_CODE = re.compile(r"```.*?```|`[^`]*`|<[^>]*>|https?://\S+", re.DOTALL)
_TEST = re.compile(r"\s*(?:async )?def (test_\w+)")


@cache
def rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return each pattern of the list and its replacement."""
    rows = _ROW.finditer(LIST.read_text(encoding="utf-8"))
    return tuple((re.compile(row["pattern"].replace(r"\|", "|")), row["use"]) for row in rows)


def prose(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of prose in a file's text, each with its number; code is blank."""
    if suffix == ".py":
        yield from _python_prose(text)
    else:
        yield from enumerate(_without_code(text).splitlines(), 1)


def _python_prose(text: str) -> Iterator[tuple[int, str]]:
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and " " in token.string:
            yield from enumerate(_without_code(token.string).splitlines(), token.start[0])
    for number, line in enumerate(text.splitlines(), 1):
        if test := _TEST.match(line):
            yield number, test[1].replace("_", " ")


def _without_code(text: str) -> str:
    return _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)


def findings(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the words and the replacement of each finding."""
    for number, line in lines:
        for pattern, use in rules():
            yield from ((number, found[0].strip(), use) for found in pattern.finditer(line))


def files(paths: Sequence[Path]) -> list[Path]:
    """Return the project's own Python files and pages below the paths, all of them if there are none."""
    below = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".md"})
    own = [
        file
        for file in sorted((*ROOT.glob("*.md"), *below))
        if not EXCLUDED & {file.name, *file.relative_to(ROOT).parts}
    ]
    return [file for file in own if not paths or any(file.is_relative_to(path) for path in paths)]


def main(arguments: Sequence[str]) -> int:
    """Print every finding; return 1 if there is one."""
    found = [
        f"{file.relative_to(ROOT)}:{number}: {words!r}: write {use}"
        for file in files([Path(each).resolve() for each in arguments])
        for number, words, use in findings(prose(file.read_text(encoding="utf-8"), file.suffix))
    ]
    print("\n".join(found)) if found else None  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
