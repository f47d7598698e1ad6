"""Campaigns: the same profiles on many hosts, launched by the tools that people already run."""
