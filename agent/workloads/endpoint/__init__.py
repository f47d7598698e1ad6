"""The workload that loads an OpenAI-compatible server."""
