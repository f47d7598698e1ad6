"""The events of a campaign's run, as its journal stores them, and the state that they add up to; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.campaigns.facts import HostFacts  # noqa: TC001  msgspec resolves the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["waiting", "running", "fetched", "done", "failed"]


class PlannedTask(msgspec.Struct, frozen=True):
    """One profile of the run: its id, its host, and the number of its workload in the file."""

    uid: str
    host: str
    workload: int
    repetition: int


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The start of the run: its profiles, the version of the head, and the settings that its results depend on."""

    run: str
    at_ns: int
    version: str
    hosts: tuple[str, ...]
    workloads: tuple[str, ...]
    tasks: tuple[PlannedTask, ...]
    settings: dict[str, str]


class Resumed(msgspec.Struct, frozen=True, tag="resumed"):
    """The start of another head that continues the run."""

    at_ns: int


class Noted(msgspec.Struct, frozen=True, tag="note"):
    """A note of the launcher."""

    key: str
    text: str


class Checked(msgspec.Struct, frozen=True, tag="host"):
    """The verification of a host; `facts` and the bounds of its clock in seconds are None if it did not answer."""

    host: str
    facts: HostFacts | None
    clock: tuple[float, float] | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class Ended(msgspec.Struct, frozen=True, tag="task"):
    """The end of a profile's command: `reason` is empty if the bundle is complete; it may still run if `detached`."""

    uid: str
    code: int | None
    reason: str
    seconds: float
    detached: bool


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """The profile is in the store of the head."""

    uid: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The end of the run: every host has an outcome."""

    at_ns: int


Event = Begun | Resumed | Noted | Checked | Ended | Stored | Finished


@dataclass(slots=True)
class TaskState:
    """A profile of the run, the end of its last command (None without one), and whether the head has stored it."""

    planned: PlannedTask
    ended: Ended | None = None
    stored: bool = False

    @property
    def status(self) -> Status:
        """Whether its profile waits, may be running, was fetched, is done (stored by the head) or has failed."""
        if self.stored:
            return "done"
        if self.ended is None:
            return "waiting"
        if not self.ended.reason:
            return "fetched"
        return "running" if self.ended.detached else "failed"


@dataclass(slots=True)
class RunState:
    """The state of a run: its profiles by id, the verification of its hosts by name, and the launcher's notes.

    `machines` are the ids of the machines that were verified under the names of hosts. `damaged_lines` is the number of
    lines of the journal that could not be read.
    """

    begun: Begun
    tasks: dict[str, TaskState]
    hosts: dict[str, Checked] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    machines: dict[str, str] = field(default_factory=dict)
    finished: bool = False
    damaged_lines: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the head has stored every profile."""
        return all(task.stored for task in self.tasks.values())

    def is_verified(self, host: str) -> bool:
        """Return whether a host was verified, and not refused since; a host that does not answer is not refused."""
        last = self.hosts.get(host)
        return host in self.machines and last is not None and not (last.facts and last.problems)

    def apply(self, event: Event) -> None:
        """Change the state by one event; an event of an unknown profile changes nothing."""
        match event:
            case Noted(key, text):
                self.notes[key] = text
            case Checked(host, facts):
                self.hosts[host] = event
                if facts is not None and not event.problems:
                    self.machines.setdefault(host, facts.id)
            case Ended(uid) if uid in self.tasks:
                self.tasks[uid].ended = event
            case Stored(uid) if uid in self.tasks:
                self.tasks[uid].stored = True
            case Finished():
                self.finished = True
            case Resumed():
                self.finished = False
            case _:
                return


def state_of(events: Iterable[Event | None]) -> RunState | None:
    """Return the state after events, of which the first is the start; None without a start."""
    waiting = iter(events)
    begun = next(waiting, None)
    if not isinstance(begun, Begun):
        return None
    state = RunState(begun, {each.uid: TaskState(each) for each in begun.tasks})
    for event in waiting:
        if event is not None:
            state.apply(event)
    return state
