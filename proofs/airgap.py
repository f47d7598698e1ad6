"""Installs from the wheelhouse, profiles and reports, in a network namespace that has no network.

    make proof-airgap

The exit code is 1 if a step fails, if the namespace reaches a network, or if the SBOM does not list every wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from programs import CACHE
from reporting import Bar, Verdict, finish

ROOT = Path(__file__).resolve().parent.parent
WHEELHOUSE = ROOT / "dist/wheelhouse"
_STEPS = """
set -eu
if "$PYTHON" -c 'import socket; socket.create_connection(("1.1.1.1", 53), 2)' 2>/dev/null; then
  echo "the namespace reaches a network" >&2
  exit 1
fi
"$PYTHON" -m venv "$HOME/venv"
"$HOME/venv/bin/python" -m pip --disable-pip-version-check --quiet install \
  --no-index --find-links "$WHEELHOUSE" --require-hashes -r "$WHEELHOUSE/requirements.txt"
cd "$HOME"
venv/bin/inferometer profile transformer --batch 1 --layers 2 --width 128 --force --json > profile.json
venv/bin/inferometer report latest -o report.html
venv/bin/inferometer plot latest --what throughput -o throughput.svg
"""
"""Run in the namespace; a step that reaches a network fails."""
_LIMIT_SECONDS = 300.0
_LEAST_BYTES = 1000


def isolated() -> list[str]:
    """Return the command that runs another one without a network; a user other than root needs a user namespace."""
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]


def unlisted(folder: Path) -> list[str]:
    """Return the wheels whose name, version and hash the SBOM does not have."""
    components = json.loads((folder / "sbom.cdx.json").read_text(encoding="utf-8"))["components"]
    listed = {
        (each["name"].lower().replace("_", "-"), each["version"], digest["content"])
        for each in components
        for reference in each.get("externalReferences", ())
        for digest in reference.get("hashes", ())
    }
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").split("\n")
    found = [(*line.partition(" --hash=sha256:")[0].split("=="), line.rpartition(":")[2]) for line in lines if line]
    return [name for name, version, digest in found if (name, version, digest) not in listed]


def main() -> None:
    """Make the wheelhouse, run the steps, and check what they wrote."""
    with tempfile.TemporaryDirectory(prefix="inferometer-airgap-") as folder:
        home = Path(folder)
        variables = {
            "HOME": folder, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "WHEELHOUSE": str(WHEELHOUSE),
            "PYTHON": os.environ.get("PYTHON") or sys._base_executable,  # type: ignore[attr-defined]  # noqa: SLF001  no venv of it
        }  # fmt: skip
        line = [*isolated(), "bash", "-c", _STEPS]
        done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS)
        if done.returncode:
            raise SystemExit(f"the steps ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        document = json.loads((home / "profile.json").read_text(encoding="utf-8"))
        written = sum(len((home / name).read_bytes()) > _LEAST_BYTES for name in ("report.html", "throughput.svg"))
    missing = unlisted(WHEELHOUSE)
    wheels = sorted(path.name for path in WHEELHOUSE.glob("*.whl"))
    points = [point["inferences_per_second"]["mean"] for point in document["points"]]
    bars = [
        Bar("measured points", len(points), 1, at_least=True),
        Bar("written files", written, 2, at_least=True),
        Bar("wheels that the SBOM does not list", len(missing), 0, note=", ".join(missing)),
        Bar("wheels", len(wheels), 10, at_least=True),
    ]
    finish(CACHE / "results/airgap.json", {"wheels": wheels, "inferences_per_second": points}, bars)
    if any(bar.verdict is not Verdict.MET for bar in bars):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
