"""The errors of a fleet."""

from __future__ import annotations


class FleetError(Exception):
    """A place of profiles cannot be used, or a profile cannot be taken; the message has the cause and the remedy."""
