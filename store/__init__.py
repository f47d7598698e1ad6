"""Keeps what was read and derived: samples, runs and profiles, through SQLAlchemy Core."""
