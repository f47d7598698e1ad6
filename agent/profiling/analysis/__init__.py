"""Windows to metrics with intervals; pure."""
