"""Files for other programs, made from profiles."""
