"""Packages of Debian, unpacked below the cache of the user and not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from programs import built, run

if TYPE_CHECKING:
    from pathlib import Path

_INSTALLED = re.compile(r"^Inst (\S+) ", re.MULTILINE)


def unpacked(name: str, *packages: str) -> Path:
    """Return a folder with the files of packages and of those that they depend on and this host lacks."""

    def unpack(folder: Path) -> None:
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise SystemExit(f"{', '.join(packages)} come from Debian: {tool} is missing")
        line = ("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"apt-get cannot find {', '.join(packages)}; run `apt-get update`:\n{done.stderr[-500:]}")
        (folder / "packages").mkdir()
        (folder / "usr").mkdir()
        if names := _INSTALLED.findall(done.stdout):
            subprocess.run(["apt-get", "-qq", "download", *names], cwd=folder / "packages", check=True)
        for package in (folder / "packages").glob("*.deb"):
            run("dpkg-deb", "--extract", package, folder)
        shutil.rmtree(folder / "packages")

    return built(name, " ".join(packages), unpack)
