"""The process itself: logs, clock, real-time scheduling, signals."""
