"""The profile as JSON."""
