"""The workload that loads any HTTP inference service with one request."""
