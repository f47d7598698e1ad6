"""Profiles as one HTML page, as images, and as tables for tickets."""
