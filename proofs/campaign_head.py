"""Runs a campaign to its end, while its head is killed at each stage; reads what it and its hosts stored."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from campaign_lab import INFEROMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from campaign_lab import Lab, Node

_Json = dict[str, Any]
STAGES = {
    "as its jobs are submitted": ('"type":"note"', 1),
    "after the first host is verified": ('"type":"host"', 1),
    "after the first profile": ('"type":"task"', 1),
    "after the second profile": ('"type":"stored"', 2),
}
"""The event of the journal, and its number, at which the head is killed."""
_LONGEST_SECONDS = 300.0
_POLL_SECONDS = 0.05


@dataclass(slots=True)
class Head:
    """The head of a campaign, with a store of its own."""

    lab: Lab
    file: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)

    def journal(self) -> str:
        """Return the events of the newest run."""
        found = sorted(self.home.rglob("journal.jsonl"))
        return found[-1].read_text(encoding="utf-8") if found else ""

    def to_the_end(self, stages: Sequence[str], watch: Callable[[str], object]) -> int:
        """Run the campaign, kill the head at each stage and resume it; return the exit code of the last one.

        `watch` gets the journal all the time.
        """
        command = "run"
        for stage in (*stages, ""):
            code = self._until(command, stage, watch)
            command = "resume"
            if stage and code == 0:
                print(f"  the campaign ended before the head was killed {stage}", flush=True)
        return code

    def call(self, *words: str) -> _Json:
        """Return the document of a command of the head."""
        done = subprocess.run(
            self._line(*words, "--json"), capture_output=True, text=True, check=False, env=self._environment()
        )
        if not done.stdout:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        found: _Json = json.loads(done.stdout)
        return found

    def _until(self, command: str, stage: str, watch: Callable[[str], object]) -> int:
        """Run a command of the campaign; kill it at a stage, if there is one."""
        mark, number = STAGES.get(stage, ("", 0))
        ends = time.monotonic() + _LONGEST_SECONDS
        with (self.home / "head.log").open("ab") as log:
            log.write(f"== {command} {stage}\n".encode())
            log.flush()
            with subprocess.Popen(
                self._line("campaign", command, self.file), stdout=log, stderr=log, env=self._environment()
            ) as head:
                while head.poll() is None:
                    text = self.journal()
                    watch(text)
                    if stage and text.count(mark) >= number:
                        head.kill()
                        self.kills.append(stage)
                        print(f"  the head was killed {stage}", flush=True)
                        break
                    if time.monotonic() > ends:
                        head.kill()
                        raise SystemExit(f"`campaign {command}` did not end; its messages: {self.home / 'head.log'}")
                    time.sleep(_POLL_SECONDS)
        return head.returncode

    def _line(self, *words: object) -> list[str]:
        return self.lab.inside(INFEROMETER, *words)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.home), **self.variables}


def profiles_of(lab: Lab, node: Node) -> list[_Json]:
    """Return the profiles that a host has stored itself; an empty list without a store."""
    line = node.inside(lab.program, "profiles", "list", "--json")
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    found: list[_Json] = json.loads(done.stdout)["profiles"] if done.returncode == 0 else []
    return found
