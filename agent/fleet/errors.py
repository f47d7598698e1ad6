"""The errors of a fleet."""

from __future__ import annotations


class FleetError(Exception):
    """A place of profiles cannot be used, or a profile cannot be taken; the message has the cause and the remedy."""


class UnusablePlaceError(FleetError):
    """The place that the user named cannot be used: no directory, without the permission, or of another kind."""
