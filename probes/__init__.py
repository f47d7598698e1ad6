"""Reads hardware: each module reads the sensors of one family and knows no clock, no configuration and no disk."""
