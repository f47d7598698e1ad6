"""The records that the head of a campaign and its launchers exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

ResultOption = Literal["--bundle", "-o"]
STANDARD_OUTPUT = "/dev/stdout"
MOST_RESULT_BYTES = 32 << 20
"""The largest result that a host may return: a bundle without samples has some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a campaign: its name, the address that the launcher reaches it by, and the path of `inferometer` there.

    `options` are further options of every command on it, such as `--database`.
    """

    name: str
    address: str
    program: str = "inferometer"
    options: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One command on one host; it writes one file, the result: a bundle, or JSON.

    `words` are those after the path of `inferometer`, `rest` those after the options, such as the program of
    `profile command`. `given` is the standard input. A task that runs again repeats no work: a profile that is stored
    is not measured again, and one that is being measured is waited for.
    """

    uid: str
    host: Host
    words: tuple[str, ...]
    rest: tuple[str, ...] = ()
    result_option: ResultOption = "--bundle"
    given: str = ""
    timeout_seconds: float = 86400.0

    def command(self, result: str = STANDARD_OUTPUT) -> tuple[str, ...]:
        """Return the command as a list of words; it writes its result to the path `result`, on the host."""
        return (self.host.program, *self.words, *self.host.options, self.result_option, result, *self.rest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a task: its exit code (None if it did not start or was lost), and its result (empty without one).

    `errors` is the end of its standard error, or the reason of the launcher. The command ran between `sent_ns` and
    `received_ns`, in Unix time of the head. `detached` means that the task may still run on its host.
    """

    task: Task
    code: int | None
    result: bytes
    errors: str
    sent_ns: int = 0
    received_ns: int = 0
    detached: bool = False


class Notes(Protocol):
    """The notes of a launcher, by which a new head finds the jobs of the last one. They are on the disk after `put`."""

    def get(self, key: str) -> str | None:
        """Return the text of a note, None if there is none."""

    def put(self, key: str, text: str) -> None:
        """Store a note in place of the last one of this key."""


class Launcher(Protocol):
    """Runs the commands of a campaign by a means that the user has already."""

    def members(self, group: str) -> Sequence[str]:
        """Return the hosts of a group of an inventory. Raises CampaignError if there is no such group."""

    def render(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Return the texts that `run` hands to the means for these tasks, by a name: commands, scripts, manifests."""

    def run(self, tasks: Sequence[Task], notes: Notes, proceed: Callable[[Outcome], bool]) -> Generator[Outcome]:
        """Run tasks and yield the outcome of each as it ends.

        The tasks of one host run one after the other in their order, in one job if the means has jobs. The first is
        the facts of the host. `proceed` is called after each task, from any thread; if it returns False, the other
        tasks of this host do not run, or are cancelled, and have no outcome. Other hosts never wait for a host, and its
        failure is an outcome of each of its tasks. A call with the tasks of an earlier call, whose head was killed,
        continues: it attaches to a job that the notes name, or runs the commands again. Closing the iterator starts
        nothing more. Raises CampaignError, before the first outcome, if nothing can be launched.
        """
