"""Compaction, retention and integrity."""
