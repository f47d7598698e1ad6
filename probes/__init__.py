"""Reads hardware: each module reads the sensors of one family, independent of clock, configuration and disk."""
