"""Profiles of many hosts in one place: a PostgreSQL database or a directory of bundles."""
