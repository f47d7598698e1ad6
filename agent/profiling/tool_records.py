"""The figures of another tool in the profile document, copied as that tool reports them."""

from __future__ import annotations

import msgspec


class ToolFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure of a tool, in the unit of its name; None for a value that the tool does not report."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class ToolReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One result of a load generator or of a benchmark of a model, with its own figures and definitions.

    `file` is the name of the result's file. `started` is the start of its measured part in UTC, `duration_seconds` its
    length; the true start lies within `start_uncertainty_seconds` of that time. `figures` are by name and in SI units;
    docs/import.md defines them for each tool.
    """

    tool: str
    version: str | None
    file: str
    started: str
    duration_seconds: float
    start_uncertainty_seconds: float
    figures: dict[str, ToolFigure]
