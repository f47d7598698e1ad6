"""Completes a folder of wheels: requirements with the hash of every file, and a CycloneDX SBOM of them.

    python requirements/wheelhouse.py dist/wheelhouse

Writes requirements.txt and sbom.cdx.json beside the wheels; `make wheelhouse` runs it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from packaging.utils import parse_wheel_filename


def requirements(folder: Path) -> str:
    """Return a requirement for each wheel, with its only allowed hash."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    return "".join(lines)


def main() -> None:
    """Write both files."""
    folder = Path(sys.argv[1])
    listed = folder / "requirements.txt"
    listed.write_text(requirements(folder), encoding="utf-8")
    tool = Path(sys.executable).with_name("cyclonedx-py")
    options = ("--output-reproducible", "--output-format", "JSON", "--output-file", folder / "sbom.cdx.json")
    subprocess.run([tool, "requirements", *options, listed], check=True)


if __name__ == "__main__":
    main()
