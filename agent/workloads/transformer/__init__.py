"""A decoder or an encoder with random weights, in the shape of an open model."""
