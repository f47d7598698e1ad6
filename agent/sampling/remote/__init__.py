"""The sensors of another host, read from its service."""
