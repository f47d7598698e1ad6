"""Rows to compressed chunks and back."""
