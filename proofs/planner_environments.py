"""The environments of the planners: Python 3.12 with pinned packages, made once below the cache of the proofs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs import built, run

if TYPE_CHECKING:
    from collections.abc import Sequence

LLM_D_PLANNER = "llm-d-planner==0.3.3"
DYNAMO = "ai-dynamo==1.3.1"
REPORT = "inference-perf==0.7.0"
FOCUS = "focus-validator==2.2.1"
AICONFIGURATOR = "aiconfigurator==0.12.0"
_NO_DEPENDENCIES = "--no-deps"
_PACKAGES: dict[str, Sequence[Sequence[str]]] = {
    LLM_D_PLANNER: ((LLM_D_PLANNER,),),
    # The regressions of the planner without the engines, which need accelerators and gigabytes.
    DYNAMO: (
        (_NO_DEPENDENCIES, DYNAMO, "ai-dynamo-runtime==1.3.1"),
        (
            "numpy==2.5.5", "msgspec==0.22.0", "pydantic==2.14.4", "scikit-learn==1.9.1", "pyyaml==6.0.4",
            "prometheus-client==0.26.0", "kubernetes==32.0.1",
        ),
    ),
    # The models of the report without the load generator.
    REPORT: ((_NO_DEPENDENCIES, REPORT), ("pydantic==2.14.4", "pyyaml==6.0.4")),
    # A newer pyarrow needs a newer numpy than the validator allows.
    FOCUS: ((FOCUS, "pyarrow==21.0.0"),),
    AICONFIGURATOR: ((AICONFIGURATOR,),),
}  # fmt: skip
_QUESTIONS = Path(__file__).with_name("planner_questions")


def ask(requirement: str, question: str, *arguments: str | Path) -> Any:
    """Run a script of `planner_questions` in the environment of a planner, and return the JSON that it prints."""
    line = [_python(requirement), "-I", _QUESTIONS / f"{question}.py", *arguments]
    done = subprocess.run(["nice", *map(str, line)], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"{question} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def _python(requirement: str) -> Path:
    """Return the interpreter of the environment of a planner."""

    def install(folder: Path) -> None:
        if shutil.which("uv") is None:
            raise SystemExit("the planners need Python 3.12, which uv finds or installs: https://docs.astral.sh/uv")
        run("uv", "venv", "--quiet", "--python", _python_312(), folder / "venv")
        for packages in _PACKAGES[requirement]:
            run("uv", "pip", "install", "--quiet", "--python", folder / "venv/bin/python", *packages)

    name = f"planners-{requirement.partition('==')[0]}"
    return built(name, requirement, install) / "venv/bin/python"


def _python_312() -> str:
    """Return the path of Python 3.12 of pyenv, else the version, which uv finds or downloads."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return next((str(path) for path in sorted(root.glob("versions/3.12.*/bin/python"))), "3.12")
