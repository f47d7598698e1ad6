"""The error of a workload: its cause and its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.runtime.console import printable, printable_line
from agent.workloads.causes import OUT_OF_MEMORY, format_failure, match_cause

if TYPE_CHECKING:
    from collections.abc import Sequence

CANNOT_LOAD = "install a newer onnxruntime, or export the model again"
CANNOT_RUN = (
    "give the inputs other sizes with --shape or --dim, or other values with --input, or export the model again"
)


class WorkloadError(Exception):
    """A workload cannot be loaded, prepared or measured; `message` is the cause, `remedy` the remedy.

    Both can contain names from a model, so control characters are escaped. `stderr_tail` is the end of the error output
    of a dead process. It can contain paths of this host, so it is shown to the user and is not part of a profile.
    """

    def __init__(self, message: str, remedy: str = "", stderr_tail: str = "") -> None:
        self.message = printable(message)
        self.remedy = printable(remedy)
        self.stderr_tail = printable(stderr_tail)
        super().__init__(f"{self.message}: {self.stderr_tail}" if stderr_tail else self.message)


class LostPointError(WorkloadError):
    """A point cannot be measured; the other points may be.

    `ended` states whether the workload process is gone; otherwise it awaits commands.
    """

    def __init__(self, message: str, remedy: str = "", stderr_tail: str = "", *, ended: bool = False) -> None:
        super().__init__(message, remedy, stderr_tail)
        self.ended = ended


class OutOfMemoryError(LostPointError):
    """A point needs more memory than there is."""


def as_workload_error(error: Exception, doing: str, remedy: str, integers: Sequence[str] = ()) -> WorkloadError:
    """Return any failure of the engine as a WorkloadError; `remedy` is the remedy of an unknown cause.

    `integers` are the inputs whose values can be out of range.
    """
    if isinstance(error, WorkloadError):
        return error
    cause = match_cause(error)
    message, known_remedy = format_failure(error, cause, [printable_line(name) for name in integers])
    kind = OutOfMemoryError if cause is not None and cause.name == OUT_OF_MEMORY else WorkloadError
    return kind(f"{doing}: {message}", known_remedy or remedy)
