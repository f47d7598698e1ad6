"""The one way a workload fails: what happened, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.runtime.console import printable, printable_line
from agent.workloads.causes import named_cause, worded

if TYPE_CHECKING:
    from collections.abc import Sequence

CANNOT_LOAD = "install a newer onnxruntime, or export the model again"
CANNOT_RUN = "give the inputs other sizes with --shape, or other values with --input, or export the model again"


class WorkloadError(Exception):
    """A workload cannot be loaded, prepared or measured; `message` says why, `remedy` what to do.

    Both may hold names from a model: control characters in them are escaped. `last_words` are what a process that died
    wrote to its error output. They are for the user alone: they can hold paths of this host, so no profile has them.
    """

    def __init__(self, message: str, remedy: str = "", last_words: str = "") -> None:
        self.message = printable(message)
        self.remedy = printable(remedy)
        self.last_words = printable(last_words)
        super().__init__(f"{self.message}: {self.last_words}" if last_words else self.message)


def explained(error: Exception, doing: str, remedy: str, integers: Sequence[str] = ()) -> WorkloadError:
    """Return any failure of the engine as a WorkloadError; `remedy` is for unknown causes.

    `integers` are the inputs whose values may be out of range.
    """
    if isinstance(error, WorkloadError):
        return error
    cause = named_cause(error)
    message, known_remedy = worded(error, cause, [printable_line(name) for name in integers])
    return WorkloadError(f"{doing}: {message}", known_remedy or remedy)
