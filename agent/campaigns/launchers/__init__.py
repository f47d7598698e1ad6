"""Launchers: one module for each means of running commands on hosts."""
