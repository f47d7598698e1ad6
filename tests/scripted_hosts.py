"""Hosts of a campaign that a script plays: they have a store of bundles, and the faults that a test sets."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = ("one", "two", "three")
_SCRIPT = """#!{python}
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from scripted_hosts import play
play(__file__, sys.argv[1:])
"""


@dataclass(frozen=True)
class ScriptedHost:
    """A host whose `inferometer` is a script in a folder of its own."""

    folder: Path

    @property
    def program(self) -> Path:
        """The path of its `inferometer`."""
        return self.folder / "inferometer"

    def behave(self, **settings: Any) -> None:
        """Set its faults: `facts` that differ, an `error`, the `offset` of its clock; and its times.

        `thinks` are the seconds of its facts, `seconds` those of a profile, `energy` the factor of its energies.
        """
        (self.folder / "settings.json").write_text(json.dumps(settings))

    @property
    def calls(self) -> list[list[str]]:
        """The words of every command that it got."""
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def measured(self) -> list[str]:
        """The ids of the profiles that it has measured, once for each measurement."""
        path = self.folder / "measured"
        return path.read_text().split() if path.exists() else []


def scripted_host(folder: Path, name: str, **settings: Any) -> ScriptedHost:
    """Make a host below a folder."""
    host = ScriptedHost(folder / name)
    host.folder.mkdir(parents=True)
    host.program.write_text(_SCRIPT.format(python=sys.executable, root=str(ROOT), tests=str(ROOT / "tests")))
    host.program.chmod(0o755)
    host.behave(**settings)
    return host


def three_hosts(folder: Path) -> dict[str, ScriptedHost]:
    """Make three hosts, and return them by name."""
    return {name: scripted_host(folder / "hosts", name) for name in NAMES}


def file_of(folder: Path, hosts: dict[str, ScriptedHost], extra: str = "", own: str = "") -> Path:
    """Write a campaign on hosts, with `extra` lines, and with lines that each host has of its `own`."""
    from campaign_files import campaign_file

    tables = "".join(f'[[host]]\nname = "{name}"\nprogram = "{host.program}"\n{own}' for name, host in hosts.items())
    workload = '[[workload]]\nname = "transformer"\noptions = { batch = [1, 2] }\n'
    return campaign_file(folder, f'name = "nightly"\n{extra}\n[launcher]\nkind = "local"\n{tables}{workload}')


def play(script: str, words: Sequence[str]) -> None:
    """Answer one command as the host does, and end the process."""
    import time

    from agent.campaigns.host_facts import process_start_ns
    from agent.profiling.turns import run_in_turn, turn
    from campaign_files import facts_of

    folder = Path(script).parent
    settings = json.loads((folder / "settings.json").read_text())
    with (folder / "calls").open("a") as calls:
        calls.write(f"{json.dumps(words)}\n")
    if words[:2] == ["campaign", "facts"]:
        offset = round(settings.get("offset", 0.0) * 1e9)
        now = process_start_ns() + offset
        time.sleep(settings.get("thinks", 0.0))
        measuring = run_in_turn(folder)
        facts = facts_of(
            started_ns=now, ended_ns=time.time_ns() + offset, measuring=measuring, **settings.get("facts", {})
        )
        result = json.dumps(facts).encode()
    else:
        is_profile = words[0] == "profile"
        uid = words[words.index("--id") + 1] if is_profile else words[2]
        stored = folder / f"{uid}.zip"
        if is_profile:
            with turn(folder, uid, lambda _: None):
                _measure(folder, uid, settings)
        if not stored.exists():
            sys.exit(f"error: no profile {uid!r} is stored")
        result = stored.read_bytes()
    option = "--bundle" if words[0] == "profile" else "-o"
    Path(words[words.index(option) + 1]).write_bytes(result)


def _measure(folder: Path, uid: str, settings: Mapping[str, Any]) -> None:
    """Store a profile of this id, unless one is stored."""
    import time

    from campaign_files import bundle_of, profile_of

    stored = folder / f"{uid}.zip"
    if stored.exists():
        return
    if error := settings.get("error"):
        sys.exit(f"error: {error}")
    with (folder / "measured").open("a") as measured:
        measured.write(f"{uid}\n")
    time.sleep(settings.get("seconds", 0.0))
    energy = settings.get("energy", 1.0) * (1 + 0.001 * len((folder / "measured").read_text().split()))
    part = stored.with_suffix(".part")
    part.write_bytes(bundle_of(uid, points=profile_of(uid, energy)["points"]))
    part.rename(stored)
