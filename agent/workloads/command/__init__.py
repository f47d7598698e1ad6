"""The workload that runs any program."""
