"""Checks that a point must pass; pure."""
