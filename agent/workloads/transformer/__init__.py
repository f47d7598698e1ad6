"""A decoder-only transformer with random weights."""
