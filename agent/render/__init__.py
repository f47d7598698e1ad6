"""Documents and samples as text."""
