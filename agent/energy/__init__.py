"""Samples to joules with bounds, each joule counted once; pure."""
