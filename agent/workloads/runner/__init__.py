"""The parent and the child process that runs a workload, and their messages."""
