"""Comparisons of profiles: setups side by side, claims against measurements, and the cheapest mix of machines."""
