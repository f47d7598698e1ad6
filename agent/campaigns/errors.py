"""The error of a campaign."""

from __future__ import annotations


class CampaignError(ValueError):
    """A campaign cannot be read or run; the message names the key or the program, the cause and the fix."""
