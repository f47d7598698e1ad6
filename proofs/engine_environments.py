"""The environments of the engines: this project, its locked libraries, and the pinned packages of one engine."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from programs import CACHE, PIP, built, run

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements/profile.txt"


def engine_environment(name: str, *packages: str) -> Path:
    """Return the environment `engine-NAME`, made once for each list of packages.

    Packages are pinned requirements and options of pip. The project is installed in place, so that the environment runs
    the code of this checkout.
    """
    version = " ".join((*packages, hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]))

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder / "venv")
        python = folder / "venv/bin/python"
        run(python, *PIP, "install", "--require-hashes", "-r", LOCK)
        if packages:
            run(python, *PIP, "install", *packages)

    folder = built(f"engine-{name}", version, install)
    _install_project(folder)
    return folder / "venv"


def is_installed(name: str) -> bool:
    """Return whether an engine has an environment; it may be of another version."""
    return (CACHE / f"engine-{name}/version").exists()


def _install_project(folder: Path) -> None:
    installed = folder / "project"
    if not installed.exists() or installed.read_text(encoding="utf-8") != str(ROOT):
        python = folder / "venv/bin/python"
        run(python, *PIP, "install", "--no-deps", "--no-build-isolation", "-e", ROOT)
        installed.write_text(str(ROOT), encoding="utf-8")
