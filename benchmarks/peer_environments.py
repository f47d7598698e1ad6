"""The tools in common use, each in a virtual environment of its own that is made when first needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
KEPT = HERE / ".venvs"
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool from PyPI: its requirement, and the seconds between its reads, 0 if it reads at edges only.

    `interval_seconds` is the default of its simplest use, `best_seconds` the most accurate one for short windows.
    `peer_<name>.py` measures windows with it: see peer_windows.py.
    """

    name: str
    requirement: str
    interval_seconds: float = 0.0
    best_seconds: float = 0.0

    @property
    def script(self) -> Path:
        """The script that measures with it, for the Python of its environment."""
        return HERE / f"peer_{self.name}.py"


PEERS = (
    Peer("codecarbon", "codecarbon==3.3.2", 15.0, 0.0),
    Peer("perun", "perun==1.0.0", 1.0, 0.1),
    Peer("pyjoules", "pyJoules==0.5.1"),
    Peer("zeus", "zeus==0.16.0"),
)


class PeerUnavailableError(Exception):
    """It could not be installed; the message has the reason."""


def python_of(peer: Peer) -> Path:
    """Return the Python of the peer's environment, made again if its requirement has changed.

    Raises PeerUnavailableError if it cannot be installed.
    """
    folder = KEPT / peer.requirement
    python = folder / "bin/python"
    if (folder / "complete").exists():
        return python
    print(f"installing {peer.requirement} into {folder} ...", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", peer.requirement])
    (folder / "complete").touch()
    return python


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:]
        raise PeerUnavailableError("; ".join(said) or f"{argv[0]} ended with {done.returncode}")
