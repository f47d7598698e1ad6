"""Profiles as bundles: one file with document, samples, tariff and checksums, also without the names of a host."""
