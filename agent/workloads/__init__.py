"""The micro-benchmarks, each executed in a child process of its own."""
