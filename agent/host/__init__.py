"""The machine: inventory, settings, checks, activity of other programs."""
