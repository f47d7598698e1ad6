"""Compresses rows to chunks and back."""
