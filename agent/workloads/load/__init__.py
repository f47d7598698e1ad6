"""The load engine: sends requests to an inference server, and records each of them."""
