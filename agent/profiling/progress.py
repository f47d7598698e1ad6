"""The interface to whatever shows the progress of a run to the user."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shows the progress of a run to the user."""

    def step(self, done: int, total: int | None, doing: str, least_seconds: float = 0.0) -> None:
        """Show the current step: the number of finished steps, of all steps (None if unknown), and its description.

        The rest takes at least `least_seconds`.
        """
        ...

    def note(self, text: str) -> None:
        """Show a message."""
        ...

    def confirm(self, question: str) -> bool:
        """Ask the user whether to continue; return False if there is no terminal to ask on."""
        ...
