"""The state of the systemd service and the changes of its files as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.install.files import Change
    from agent.install.systemd import ServiceState


def state_text(state: ServiceState) -> str:
    """Return a line for each file, for the unit, the families that it is opened for, and the health of the daemon."""
    health = f"{state.health.url}: {state.health.answer}" if state.health else "not checked"
    rows = [
        *((file.status, str(file.path)) for file in state.files),
        ("unit", ", ".join(filter(None, (state.active, state.enabled))) or "unknown"),
        ("families", ", ".join(state.families) or "none"),
        ("health", health),
    ]
    return "\n".join(f"{label:10}{text}" for label, text in rows)


def changes_text(changes: Iterable[Change]) -> str:
    """Return a line for each file that was written, removed or left unchanged."""
    return "\n".join(f"{change.outcome:10}{change.path}" for change in changes)


def files_text(files: Iterable[tuple[str, str]]) -> str:
    """Return the text of each file below its path, as an installation would write it."""
    return "\n".join(f"# {path}\n{text}" for path, text in files)
