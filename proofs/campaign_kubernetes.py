"""Validates the manifests of a campaign on three nodes by the schemas of Kubernetes, and searches for privileges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from campaign_lab import INFEROMETER
from programs import PIP, built, run
from reporting import Bar

_Json = dict[str, Any]
VALIDATOR = "kubernetes-validate==1.37.0"
_OLDEST = "1.31"
"""The oldest minor version of Kubernetes that the manifests are validated for, beside that of the validator."""
_CAMPAIGN = """name = "kubernetes"

[launcher]
kind = "kubernetes"
image = "registry.example/inferometer@sha256:{digest}"
namespace = "measuring"
node_selector = {{ accelerator = "h100" }}
limits = {{ "nvidia.com/gpu" = 8 }}

[[launcher.tolerations]]
key = "nvidia.com/gpu"
operator = "Exists"
effect = "NoSchedule"

[[host]]
name = "gpu-[1-3]"

[[workload]]
name = "transformer"
"""


def environment() -> Path:
    """Return the environment of the validator."""

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder / "venv")
        run(folder / "venv/bin/python", *PIP, "install", VALIDATOR)

    return built("kubernetes-validate", VALIDATOR, install) / "venv/bin"


def prove(_quick: bool) -> tuple[_Json, list[Bar]]:
    """Render the manifests and validate them strictly; return figures and bars."""
    with TemporaryDirectory(prefix="inferometer-kubernetes-") as name:
        folder = Path(name)
        (folder / "campaign.toml").write_text(_CAMPAIGN.format(digest="0123456789abcdef" * 4), encoding="utf-8")
        line = (INFEROMETER, "campaign", "check", folder / "campaign.toml", "--show", "--json")
        variables = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        done = subprocess.run([*map(str, line)], capture_output=True, text=True, check=True, env=variables)
        texts: dict[str, str] = json.loads(done.stdout)
        refused = []
        for host, text in texts.items():
            (folder / f"{host}.json").write_text(text, encoding="utf-8")
            for options in ((), ("--kubernetes-version", _OLDEST)):
                check = (environment() / "kubernetes-validate", "--strict", *options, folder / f"{host}.json")
                answer = subprocess.run([*map(str, check)], capture_output=True, text=True, check=False)
                refused += [f"{host}: {answer.stdout[-300:]}{answer.stderr[-300:]}"] if answer.returncode else []
        broken = folder / "broken.json"
        broken.write_text(next(iter(texts.values())).replace('"hostPath"', '"hostPaths"'), encoding="utf-8")
        check = (environment() / "kubernetes-validate", "--strict", broken)
        noticed = subprocess.run([*map(str, check)], capture_output=True, check=False).returncode != 0
    for each in refused:
        print(each)
    words = ("hostPID", "hostIPC", "hostNetwork", "docker.sock", '"privileged": true')
    privileges = [word for text in texts.values() for word in words if word in text]
    return {"manifests": len(texts)}, [
        Bar("kubernetes: manifests of three nodes", len(texts), 3),
        Bar("kubernetes: manifests that the schemas refuse", len(refused), 0),
        Bar("kubernetes: damaged manifest that the schemas refuse", float(noticed), 1, at_least=True),
        Bar("kubernetes: privileges", len(privileges), 0, note=", ".join(privileges)),
    ]
