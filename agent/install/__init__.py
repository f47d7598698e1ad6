"""Installation as a systemd service."""
