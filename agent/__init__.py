"""Does things: samples, runs workloads, derives profiles, serves them; the command line and the daemon are here."""
