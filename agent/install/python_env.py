"""Checks whether the hardened service can run from this Python environment, and quotes its program for the unit."""

from __future__ import annotations

import re
import shlex
import stat
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 -- only refused
"""The folders that ProtectHome= and PrivateTmp= of the unit hide from the service."""

_VENV: Final = "/opt/inferometer"


def program() -> Path:
    """Return the path of `inferometer` in the current environment."""
    return Path(sys.prefix).absolute() / "bin" / "inferometer"


def service_program() -> Path:
    """Return the path of `inferometerd` in the current environment, which the unit starts."""
    return program().with_name("inferometerd")


def quoted(path: Path) -> str:
    """Return `path` quoted for ExecStart=, by the rules of systemd.service(5) and systemd.unit(5).

    Raises ValueError if it is relative or contains characters that systemd refuses in the name of a program: quotes,
    backslashes, control characters, and `$`, which begins a variable.
    """
    if not path.is_absolute() or re.search(r"[\x00-\x1f\x7f\"'\\$]", str(path)):
        raise ValueError(f"systemd cannot start {str(path)!r}: the path must be absolute, without quotes, \\ and $")
    text = str(path).replace("%", "%%")
    return text if re.fullmatch(r"[\w%+,./:@~-]+", text) else f'"{text}"'


def needed_paths() -> tuple[Path, ...]:
    """Return the paths that the service needs: both programs, interpreter, library, package."""
    return program(), service_program(), Path(sys.executable), Path(sys.base_prefix), Path(__file__)


def problems(paths: Iterable[Path], hidden: tuple[str, ...] = HIDDEN) -> tuple[str, ...]:
    """Return one sentence for each reason why the service cannot use `paths`; empty if it can.

    Each path is checked as written and with its links resolved, with every folder above it.
    """
    places = dict.fromkeys(place for path in paths for place in (path.absolute(), path.resolve()))
    found = (_hidden_path_problem(place, hidden) or _permission_problem(place) for place in places)
    return tuple(dict.fromkeys(fault for fault in found if fault))


def image_problems(root: Path, program: Path) -> tuple[str, ...]:
    """Return a sentence for each reason why a unit below `root` cannot start `program`; none for this system."""
    if root == Path("/"):
        return ()
    if not root.is_dir():
        return (f"{root}: there is no such folder to install below",)
    if program.is_relative_to(root.absolute()):
        inside = Path("/") / program.relative_to(root.absolute())
        command = inside.with_name("inferometer")
        return (f"{program} is {inside} in the running image: run {command} inside the image (chroot)",)
    if not (root / program.relative_to("/")).exists():
        return (f"{root / program.relative_to('/')} is missing: the image needs Inferometer at the same path",)
    return ()


def _hidden_path_problem(path: Path, hidden: tuple[str, ...]) -> str:
    folder = next((folder for folder in hidden if path.is_relative_to(folder)), "")
    return folder and f"{path} is below {folder}, which the unit hides from the service"


def _permission_problem(path: Path) -> str:
    for place in (*reversed(path.parents), path):
        try:
            mode = stat.S_IMODE(place.stat().st_mode)
        except OSError as error:
            return f"{place}: {error.strerror}"
        needed = stat.S_IXOTH if place != path else stat.S_IROTH | (mode & stat.S_IXUSR and stat.S_IXOTH)
        if mode & needed != needed:
            return f"{place} is closed to other users (mode {mode:04o}), and so to the user of the service"
    return ""


def remedy(checkout: Path) -> str:
    """Return the commands that make an environment for the service and install it from there.

    They install the sources in `checkout` if there are any, else the released version.
    """
    source = str(checkout) if (checkout / "pyproject.toml").is_file() else f"inferometer=={version('inferometer')}"
    steps = (
        f"python3 -m venv {_VENV}",
        f"{_VENV}/bin/pip install {shlex.quote(source)}",
        f"{_VENV}/bin/inferometer service install",
    )
    return " && ".join(steps)
