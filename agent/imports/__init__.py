"""Results of other tools, joined with the samples that the service stored."""
