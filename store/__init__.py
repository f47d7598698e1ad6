"""Stores samples, runs and profiles through SQLAlchemy Core."""
