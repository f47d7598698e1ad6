"""Runs sweeps and derives profiles: from windows and samples to a document."""
