"""Energy of production traffic: counts of inference servers and samples of sensors to joules per token; pure."""
