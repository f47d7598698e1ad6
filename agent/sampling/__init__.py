"""Probes read on their schedule, and the ticks stored."""
