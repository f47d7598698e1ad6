"""Writes the folder from which Sphinx builds the site: the pages, with their links, and the reference of the commands.

    python docs/make_site.py docs/_build/source

Pages outside of docs/ become pages of the site; other files that a page links to are copied beside them.
"""

from __future__ import annotations

import re
import shutil
import sys
from os.path import relpath
from pathlib import Path

from make_reference import commands

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "proofs/README.md": "proofs.md",
    "requirements/README.md": "requirements.md",
    "systemd/config.toml": "config.toml",
    "LICENSE": "LICENSE",
}
"""Each file outside of docs/ that the site has, and its name there."""
CONTENTS = {
    "Use": "getting-started workloads serving import commands report planners sensors meters cost offers comparing "
    "configuration service metrics fleet-metrics production-traffic other-hardware sharing fleet fleet-views campaigns "
    "threat-model privacy security exit-codes",
    "Numbers": "methodology profile estimates topologies crosscheck wall-factor sensor-faults scale nvidia-h200 "
    "benchmarks proofs glossary",
    "Reference": "profile-fields settings store man-inferometer man-inferometerd",
    "Development": "contributing writing-a-workload writing-a-probe words decisions/README changelog requirements",
}
_LINK = re.compile(r"(?<=\]\()([^)\s:#]+)(?=[)#])")
_CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)


def write(target: Path) -> None:
    """Write the source of the site into a folder, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    pages = {path: path.relative_to(DOCS) for path in DOCS.rglob("*") if path.is_file() and "_build" not in path.parts}
    pages |= {ROOT / path: Path(name) for path, name in MOVED.items()}
    for path, name in pages.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            (target / name).write_text(_linked(path, pages), encoding="utf-8")
        elif path.suffix not in {".py", ".pyc"} or path.name == "conf.py":
            shutil.copyfile(path, target / name)
    manual = target / "man-inferometer.md"
    manual.write_text(manual.read_text(encoding="utf-8").replace("<!-- commands -->", commands()), encoding="utf-8")
    for page, text in {
        "index.md": "".join(_contents(caption, names.split()) for caption, names in CONTENTS.items()),
        "decisions/README.md": _contents("Decisions", [path.stem for path in sorted(DOCS.glob("decisions/0*.md"))]),
    }.items():
        with (target / page).open("a", encoding="utf-8") as file:
            file.write(text)


def _linked(path: Path, pages: dict[Path, Path]) -> str:
    """Return the text of a page with its links to files as the site has them."""
    here = pages[path].parent

    def moved(link: re.Match[str]) -> str:
        found = (path.parent / link[1]).resolve()
        return relpath(pages[found], here) if found in pages else link[1]

    parts = _CODE.split(path.read_text(encoding="utf-8"))
    return "".join(part if part.startswith("`") else _LINK.sub(moved, part) for part in parts)


def _contents(caption: str, names: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```", ""])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
